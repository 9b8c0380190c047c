"""From what was given to a Configuration: each value parsed, then all looked at together."""

import reprlib
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from moesifasgi.errors import SettingsError
from moesifasgi.shapes import Fault, as_it_is, nearest, parsed
from moesifasgi.shipper.configuration.ids import OutOfSight, id_path, out_of_sight, with_id
from moesifasgi.shipper.configuration.key import ENVIRONMENT_PREFIX, Key, keys_of
from moesifasgi.shipper.configuration.sources import CONFIG_VARIABLE, Sources, gather
from moesifasgi.shipper.configuration.values import ApplicationSection, Configuration, Unknown
from moesifasgi.shipper.liveness import ATTEMPT_S, LEAST_STANDSTILL_S

SECTIONS = "application"
"""The name of the tables that describe one application each."""
MAX_APPLICATIONS = 1000
_WORKER_VARIABLES = frozenset({"MOESIF_SHIPPER_LINGER"})
"""Variables with our prefix that are a worker's."""
_KEYS = dict(keys_of(Configuration))
_SECTION_KEYS = dict(keys_of(ApplicationSection))


class Loaded(NamedTuple):
    """A configuration that can be used."""

    configuration: Configuration
    file: Path | None
    warnings: tuple[str, ...]
    """What a person should know, though it is no fault."""


def load(
    file: Path | None, environ: Mapping[str, str], options: Mapping[str, str], *, to_look: bool = False
) -> Loaded:
    """Read, parse and check. Raises SettingsError with every fault.

    ``to_look``: nothing is going to run by it, so that an id which only systemd knows is a warning.
    """
    sources = gather(file, environ, options)
    faults: list[str] = []
    values = _parsed(sources, faults)
    sections = _parsed_sections(sources, faults)
    faults += _unknown(sources)
    unseen: list[str] = []
    sections = tuple(_identified(sections, environ, faults, unseen if to_look else faults))
    configuration = Configuration(**values, applications=sections)
    faults += _check(configuration)
    if faults:
        raise SettingsError(faults)
    return Loaded(configuration, sources.file, (*unseen, *_warnings(sources, configuration)))


def _parsed(sources: Sources, faults: list[str]) -> dict[str, Any]:
    """The values that were given and fit, by field."""
    values = {}
    for name, key in _KEYS.items():
        try:
            if (given := _given(key, sources)) is not None:
                where, value, read = given
                values[name] = parsed(where, key.shape, value, read, secret=key.secret)
        except Fault as fault:
            faults.append(str(fault))
    return values


def _given(key: Key, sources: Sources) -> tuple[str, Any, Callable[[Any], Any]] | None:
    """Where it was given, what, and how to read that. An empty variable counts as not given."""
    read = key.shape.read or as_it_is
    if key.name in sources.options:
        return key.option, sources.options[key.name], read
    if sources.environ.get(key.variable):
        return f"{key.variable} (environment)", sources.environ[key.variable], read
    if key.name in sources.content:
        return f"{key.name} ({sources.file})", sources.content[key.name], as_it_is
    return None


def _parsed_sections(sources: Sources, faults: list[str]) -> tuple[ApplicationSection, ...]:
    tables = sources.content.get(SECTIONS, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        faults.append(f"{SECTIONS} ({sources.file}): expected [[{SECTIONS}]] before each application")
        return ()
    if len(tables) > MAX_APPLICATIONS:
        faults.append(f"{SECTIONS} ({sources.file}): expected at most {MAX_APPLICATIONS}")
        return ()
    return tuple(_section(_place(number), table, faults) for number, table in enumerate(tables, 1))


def _section(place: str, table: Mapping[str, Any], faults: list[str]) -> ApplicationSection:
    values = {}
    for name, key in _SECTION_KEYS.items():
        if key.name not in table:
            continue
        try:
            where = f"{place}: {key.name}"
            values[name] = parsed(where, key.shape, table[key.name], secret=key.secret)
        except Fault as fault:
            faults.append(str(fault))
    if ("id" in table) == ("id_file" in table):
        faults.append(f"{place}: expected either id or id_file")
    known = {key.name for key in _SECTION_KEYS.values()}
    faults += [_unknown_key(f"{place}: ", name, known) for name in table if name not in known]
    return ApplicationSection(**values)


def _place(number: int) -> str:
    return f"[[{SECTIONS}]] {number}"


def _unknown(sources: Sources) -> Iterator[str]:
    known = {key.name for key in _KEYS.values()} | {SECTIONS}
    for name in sources.content:
        if name not in known:
            yield _unknown_key(f"{sources.file}: ", name, known)


def _unknown_key(where: str, name: str, known: set[str]) -> str:
    return f"{where}unknown key {reprlib.repr(name)}{nearest(name.lower(), known)}"


def _identified(
    sections: tuple[ApplicationSection, ...], environ: Mapping[str, str], faults: list[str], unseen: list[str]
) -> Iterator[ApplicationSection]:
    """Each section with its id, wherever that is. What is wrong with those at systemd goes to ``unseen``."""
    for number, section in enumerate(sections, 1):
        try:
            yield with_id(_place(number), section, environ)
        except OutOfSight as fault:
            unseen.append(str(fault))
            yield out_of_sight(section)
        except Fault as fault:
            faults.append(str(fault))
            yield section


def _check(configuration: Configuration) -> Iterator[str]:
    """Faults of values that are right each, but not together."""
    ids = Counter(section.application_id for section in configuration.applications)
    for number, section in enumerate(configuration.applications, 1):
        if section.application_id is not None and ids[section.application_id] > 1:
            yield f"{_place(number)}: expected one section an application, another one has this id"
        quota = section.spool_max_bytes
        if quota is not None and quota > configuration.spool_max_bytes:
            yield (
                f"{_place(number)}: spool_max_bytes: expected at most that of the whole spool"
                f" ({configuration.spool_max_bytes}), got {quota}"
            )
    metrics = configuration.metrics
    if metrics is not None and str(metrics.path) == configuration.socket:
        yield f"metrics: expected another socket than the shipper's own ({configuration.socket})"
    if configuration.unknown_applications is Unknown.REFUSE and not configuration.applications:
        yield f"unknown_applications: expected at least one [[{SECTIONS}]] with 'refuse'"


def _warnings(sources: Sources, configuration: Configuration) -> Iterator[str]:
    variables = {key.variable for key in _KEYS.values()} | {CONFIG_VARIABLE} | _WORKER_VARIABLES
    for name in sorted(sources.environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in variables:
            yield f"unknown variable {name} has no effect{nearest(name, variables)}"
    if (given_s := configuration.standstill_timeout_s) < LEAST_STANDSTILL_S:
        yield (
            f"standstill_timeout {given_s:g}: an upload may take {ATTEMPT_S:g} s, so that an outage would"
            f" restart the shipper; expected at least {LEAST_STANDSTILL_S:g}"
        )
    sections = configuration.applications
    if sources.file:
        own_ids = any(section.id_file is None for section in sections)
        proxies = configuration.http_proxy or any(section.http_proxy for section in sections)
        yield from _open_to_others(sources.file, is_secret=own_ids or bool(proxies))
    for section in sections:
        if section.id_file is not None and (path := id_path(section.id_file, sources.environ)) is not None:
            yield from _open_to_others(path, is_secret=True)


def _open_to_others(path: Path, *, is_secret: bool) -> Iterator[str]:
    """A line where others can change it, or read what is a secret."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return  # It was read, and is gone: whoever replaces files has it read again.
    if is_secret and mode & 0o007:
        yield f"{path} has mode {mode:04o} and holds a secret; expected 0640 or 0600"
    elif mode & 0o022:
        yield f"{path} has mode {mode:04o}, so others can change it; expected 0644 or less"

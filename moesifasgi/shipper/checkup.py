"""Whether a configuration would work here, found out without a change and without an event."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from moesifasgi.places import FORBIDDEN_MODE
from moesifasgi.shipper.clients import url
from moesifasgi.shipper.configuration.load import Loaded
from moesifasgi.shipper.configuration.values import Configuration, Unknown
from moesifasgi.shipper.http import Http, NoAnswer, Timeouts
from moesifasgi.shipper.spool import SpoolError, fsck, schema
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.link import translated
from moesifasgi.shipper.terms import Terms
from moesifasgi.shipper.tool import NoShipper, ask_status
from moesifasgi.wire.application import Application

HEALTH_PATH = "/health/probe"
TIMEOUTS = Timeouts(connect_s=5.0, read_s=5.0, total_s=10.0)
MAX_AT_ONCE = 8


class Verdict(StrEnum):
    """``FAILED``: events would not arrive, or the shipper would not start."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


class Finding(NamedTuple):
    """One line."""

    verdict: Verdict
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<8} {self.subject}: {self.text}"


def checkup(loaded: Loaded) -> Iterator[Finding]:
    """Configuration, spool, socket, and the ways to the collector."""
    configuration = loaded.configuration
    file = "no file, all defaults" if loaded.file is None else str(loaded.file)
    yield Finding(Verdict.OK, "configuration", f"{file}, {len(configuration.applications)} applications")
    yield from (Finding(Verdict.WARNING, "configuration", line) for line in loaded.warnings)
    yield from _spool(Path(configuration.spool_dir), configuration.spool_min_free_bytes)
    yield _socket(Path(configuration.socket))
    if configuration.socket_mode & 0o007:
        text = f"socket_mode {configuration.socket_mode:04o} lets every user connect, allowed or not"
        yield Finding(Verdict.WARNING, "socket", text)
    if not _may_give_to(configuration.socket_group):
        text = f"expected socket_group {configuration.socket_group} to be a group of this user"
        yield Finding(Verdict.FAILED, "socket", text)
    yield from _collectors(configuration)


def _may_give_to(group: int | None) -> bool:
    return group is None or os.geteuid() == 0 or group in (os.getegid(), *os.getgroups())


def _spool(directory: Path, min_free_bytes: int) -> Iterator[Finding]:
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if (fault := _unusable(there) or _open_to_strangers(there, directory)) is not None:
        yield Finding(Verdict.FAILED, "spool", fault)
        return
    yield from _room(there, min_free_bytes)
    if there != directory:
        yield Finding(Verdict.OK, "spool", f"{directory} will be made in {there}")
    elif (directory / FILE_NAME).exists():
        yield from _file(directory)
    else:
        yield Finding(Verdict.OK, "spool", f"{directory} is empty")


def _unusable(directory: Path) -> str | None:
    if not directory.is_dir():
        return f"{directory}: expected a directory"
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return f"{directory}: expected a directory that user id {os.geteuid()} may write to"
    return None


def _open_to_strangers(there: Path, directory: Path) -> str | None:
    """Why the spool's own directory would be refused, whoever runs the shipper."""
    mode = stat.S_IMODE(there.stat().st_mode)
    if there != directory or not mode & FORBIDDEN_MODE:
        return None
    return f"{directory}: others may write to it (mode {mode:04o}); expected at most 0755"


def _room(directory: Path, min_free_bytes: int) -> Iterator[Finding]:
    found = os.statvfs(directory)
    free_bytes = found.f_bavail * found.f_frsize
    if free_bytes <= min_free_bytes:
        text = f"{directory}: {free_bytes} bytes are free, no more than spool_min_free_bytes keeps"
        yield Finding(Verdict.FAILED, "spool", text)


def _file(directory: Path) -> Iterator[Finding]:
    try:
        with translated(at_start=True):
            schema.check_version(directory / FILE_NAME)
    except schema.SpoolDamaged as error:
        text = f"{error}; it will be set aside, with what can be saved in a new one"
        yield Finding(Verdict.WARNING, "spool", text)
    except SpoolError as error:
        yield Finding(Verdict.FAILED, "spool", str(error))
    else:
        yield Finding(Verdict.OK, "spool", f"{directory} holds a spool")
    yield from (Finding(Verdict.WARNING, "spool", note) for note in fsck.surroundings(directory))


def _socket(path: Path) -> Finding:
    if path.is_socket():
        try:
            return Finding(Verdict.OK, "socket", f"shipper {ask_status(path)['pid']} answers at {path}")
        except NoShipper as error:
            text = f"{error}; the next shipper takes its place"
            return Finding(Verdict.OK if _is_ours(path) else Verdict.WARNING, "socket", text)
    if path.is_symlink() or path.exists():
        return Finding(Verdict.FAILED, "socket", f"{path} exists and is not a socket")
    # Its directory is made, but no more than that.
    there = path.parent if path.parent.exists() else path.parent.parent
    if (fault := _unusable(there)) is not None:
        return Finding(Verdict.FAILED, "socket", fault)
    return Finding(Verdict.OK, "socket", f"no shipper runs at {path} yet")


def _is_ours(path: Path) -> bool:
    return stat.S_ISSOCK(path.stat().st_mode) and os.access(path, os.W_OK)


def _collectors(configuration: Configuration) -> Iterator[Finding]:
    """One line for each way that events may take, the applications' own and that of all others."""
    overrides = Terms.of(configuration).overrides
    ids = [section.application_id or "" for section in configuration.applications]
    if configuration.unknown_applications is Unknown.ACCEPT:
        ids.append("")
    applications = [overrides.applied(Application(each)) for each in ids]
    ways = {(each.base_uri, each.http_proxy, each.ca_bundle): each for each in applications}
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        yield from pool.map(_collector, ways.values())


def _collector(application: Application) -> Finding:
    where = _shown(application.base_uri) + (" through the proxy" if application.http_proxy else "")
    try:
        status = _health(application)
    except (NoAnswer, OSError) as error:
        return Finding(Verdict.FAILED, "collector", f"{where}: {error}")
    verdict = Verdict.OK if 200 <= status < 300 else Verdict.FAILED if status >= 500 else Verdict.WARNING
    return Finding(verdict, "collector", f"{where}: its health probe answers {status}")


def _shown(base_uri: str) -> str:
    """Without user and password, if it has such."""
    parts = urlsplit(base_uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _health(application: Application) -> int:
    http = Http(
        proxy=application.http_proxy, ca_bundle=application.ca_bundle, connections=1, timeouts=TIMEOUTS
    )
    try:
        return http.get(url(application, HEALTH_PATH), {"Accept": "application/json"}).status
    finally:
        http.close()

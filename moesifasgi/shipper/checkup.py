"""Whether a configuration would work here, found out without a change and without an event."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from moesifasgi.shipper.clients import url
from moesifasgi.shipper.configuration.load import Loaded
from moesifasgi.shipper.configuration.values import Configuration, Unknown
from moesifasgi.shipper.finding import Finding, Verdict
from moesifasgi.shipper.http import Http, NoAnswer, NoAuthorities, Timeouts, authorities
from moesifasgi.shipper.premises import premises
from moesifasgi.shipper.terms import Terms
from moesifasgi.wire.application import Application

HEALTH_PATH = "/health/probe"
TIMEOUTS = Timeouts(connect_s=5.0, read_s=5.0, total_s=10.0)
MAX_AT_ONCE = 8
Way = tuple[str, str | None, str | None]
"""To a collector: its address, the proxy, and the CA bundle."""


def checkup(loaded: Loaded) -> Iterator[Finding]:
    """Configuration, spool, socket, and the ways to the collector."""
    configuration = loaded.configuration
    file = "no file, all defaults" if loaded.file is None else str(loaded.file)
    yield Finding(Verdict.OK, "configuration", f"{file}, {len(configuration.applications)} applications")
    yield from (Finding(Verdict.WARNING, "configuration", line) for line in loaded.warnings)
    yield from premises(configuration)
    yield from _collectors(configuration)


def _collectors(configuration: Configuration) -> Iterator[Finding]:
    """One line for each way that events may take, the applications' own and that of all others."""
    ways, unasked = _ways(configuration)
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        for way, found in zip(ways, pool.map(_collector, ways.values()), strict=True):
            yield _of_no_section(found) if way == unasked else found
    bundles = dict.fromkeys(each.ca_bundle for each in ways.values() if not _is_encrypted(each))
    yield from (_unused(bundle) for bundle in bundles if bundle is not None)


def _ways(configuration: Configuration) -> tuple[dict[Way, Application], Way | None]:
    """All of them, and which one nobody has configured, if there is such."""
    overrides = Terms.of(configuration).overrides
    ids = [section.application_id or "" for section in configuration.applications]
    ways = {_way(each): each for each in map(overrides.applied, map(Application, ids))}
    if configuration.unknown_applications is Unknown.REFUSE:
        return ways, None
    others = overrides.applied(Application(""))
    is_unasked = bool(ways) and configuration.base_uri is None and _way(others) not in ways
    return {**ways, _way(others): others}, _way(others) if is_unasked else None


def _way(application: Application) -> Way:
    return application.base_uri, application.http_proxy, application.ca_bundle


def _of_no_section(found: Finding) -> Finding:
    """A way that nobody has configured: whether an application takes it at all, only its workers know."""
    if found.verdict is not Verdict.FAILED:
        return found
    text = f"{found.text}; no [[application]] goes there, only others whose workers do not say where"
    return Finding(Verdict.WARNING, found.subject, text)


def _is_encrypted(application: Application) -> bool:
    return urlsplit(application.base_uri).scheme == "https"


def _unused(bundle: str) -> Finding:
    """Nobody opens it as long as the address is plain HTTP: to be wrong is no failure yet."""
    text = f"ca_bundle {bundle} has no effect on an http address"
    try:
        authorities(Path(bundle))
    except NoAuthorities as error:
        text = f"{text}; {error}"
    return Finding(Verdict.WARNING, "collector", text)


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

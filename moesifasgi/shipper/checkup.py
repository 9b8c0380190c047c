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
    overrides = Terms.of(configuration).overrides
    ids = [section.application_id or "" for section in configuration.applications]
    if configuration.unknown_applications is Unknown.ACCEPT:
        ids.append("")
    applications = [overrides.applied(Application(each)) for each in ids]
    ways = {(each.base_uri, each.http_proxy, each.ca_bundle): each for each in applications}
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        yield from pool.map(_collector, ways.values())
    bundles = dict.fromkeys(each.ca_bundle for each in ways.values() if not _is_encrypted(each))
    yield from (_unused(bundle) for bundle in bundles if bundle is not None)


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

"""The command ``moesif-shipper``. One short function a command; each loads what it needs when it runs."""

import contextlib
import json
import logging
import logging.handlers
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from moesifasgi.places import LOG_NAME, SOCKET_NAME, embedded_socket
from moesifasgi.version import VERSION

DEFAULT_SOCKET = Path("/run/moesif/shipper.sock")
DEFAULT_SPOOL = Path("/var/lib/moesif")
LOG_BYTES = 1_000_000
OWNER_WAIT_S = 8.0
"""How long an embedded shipper waits for one that is just leaving to let go of the spool."""
HEALTHY, UNHEALTHY, NO_SHIPPER = 0, 1, 2
MAX_FAULT_LINES = 10
"""Of an application's policy, in the status for people."""

_path = click.Path(path_type=Path)
_socket_option = click.option(
    "--socket",
    "socket_path",
    type=_path,
    help="The shipper's socket. Default: $MOESIF_SHIPPER_SOCKET, /run/moesif/shipper.sock, or the"
    " embedded shipper of this user.",
)


def _checked_url(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in given:
        raise click.BadParameter(f"expected an http or https URL with a host, got {given!r}")
    return given.rstrip("/")


@click.group(context_settings={"auto_envvar_prefix": "MOESIF_SHIPPER", "help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, package_name="moesifasgi", message="%(prog)s %(version)s")
def main() -> None:
    """Ships API events from ASGI workers to Moesif."""


@main.command()
@click.option(
    "--socket",
    "socket_path",
    type=_path,
    envvar="MOESIF_SHIPPER_SOCKET",
    default=DEFAULT_SOCKET,
    show_default=True,
)
@click.option("--spool-dir", type=_path, default=DEFAULT_SPOOL, show_default=True)
@click.option(
    "--base-uri",
    callback=_checked_url,
    help="Where events go, whatever the workers say. Default: what each worker says.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def run(socket_path: Path, spool_dir: Path, base_uri: str | None, log_level: str) -> None:
    """Run a standalone shipper in the foreground."""
    from moesifasgi.shipper.daemon import Options

    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    _serve(Options(directory=spool_dir, socket=socket_path, embedded=False, base_uri=base_uri))


@main.command(hidden=True)
@click.option("--dir", "directory", type=_path, required=True)
@click.option("--linger", "linger_s", type=float, required=True)
@click.option("--durability", type=click.Choice(["normal", "full"]), required=True)
@click.option("--spool-max-bytes", type=int, required=True)
@click.option("--spool-min-free-bytes", type=int, required=True)
@click.option("--debug", is_flag=True)
def embedded(directory: Path, debug: bool, **options: Any) -> None:
    """Run as a worker's own shipper; workers start this, people do not."""
    from moesifasgi.shipper.daemon import Options

    handler = logging.handlers.RotatingFileHandler(directory / LOG_NAME, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger("moesifasgi")
    package.addHandler(handler)
    package.setLevel(logging.DEBUG if debug else logging.INFO)
    _serve(Options(directory=directory, socket=directory / SOCKET_NAME, embedded=True, **options))


@main.command()
@_socket_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--watch", is_flag=True, help="Print again every second, until interrupted.")
def status(socket_path: Path | None, as_json: bool, watch: bool) -> None:
    """Tell whether events arrive. Exit 0 healthy, 1 unhealthy (says why), 2 no shipper."""
    from moesifasgi.shipper.tool import NoShipper, ask_status

    while True:
        try:
            found = ask_status(_socket(socket_path))
        except NoShipper as error:
            click.echo(f"no shipper: {error}", err=True)
            sys.exit(NO_SHIPPER)
        click.echo(json.dumps(found, indent=None if watch else 2) if as_json else _in_words(found))
        if not watch:
            sys.exit(HEALTHY if found["healthy"] else UNHEALTHY)
        time.sleep(1)


@main.command()
@_socket_option
@click.option("--timeout", "timeout_s", type=float, default=30.0, show_default=True, help="Seconds.")
def flush(socket_path: Path | None, timeout_s: float) -> None:
    """Wait until everything received so far is delivered. Exit 0 delivered, 1 not in time, 2 no shipper."""
    from moesifasgi.shipper.tool import NoShipper, ask_flush

    try:
        answer = ask_flush(_socket(socket_path), timeout_s)
    except NoShipper as error:
        click.echo(f"no shipper: {error}", err=True)
        sys.exit(NO_SHIPPER)
    except TimeoutError:
        click.echo(f"not delivered within {timeout_s:g} s; the rest stays in the spool", err=True)
        sys.exit(UNHEALTHY)
    click.echo("delivered" if answer.delivered else f"not delivered: {answer.reason}")
    sys.exit(HEALTHY if answer.delivered else UNHEALTHY)


@main.command()
@click.option("--spool-dir", type=_path, default=DEFAULT_SPOOL, show_default=True)
@click.option("--repair", is_flag=True, help="Move what can be saved into a new file; no shipper may run.")
def fsck(spool_dir: Path, repair: bool) -> None:
    """Examine a spool. Exit 0 sound or repaired, 1 damaged, 2 there is none, or it cannot be used now."""
    from moesifasgi.shipper.spool import SpoolError
    from moesifasgi.shipper.spool import fsck as spool_fsck

    try:
        with click.progressbar(length=spool_fsck.rows_of(spool_dir), label="rows", file=sys.stderr) as bar:
            found = spool_fsck.examine(spool_dir, bar.update)
        for line in (*found.notes, *(f"DAMAGED: {fault}" for fault in found.faults)):
            click.echo(line)
        click.echo(
            f"{found.events} events in {found.rows} rows ({found.bytes} bytes),"
            f" {found.dead_letters} dead letters"
        )
        if not found.faults:
            return
        if not repair:
            click.echo("--repair moves what can be saved into a new file")
            sys.exit(UNHEALTHY)
        damaged, saved = spool_fsck.repair(spool_dir)
        click.echo(f"repaired: {saved} events saved; the damaged file is {damaged}")
    except SpoolError as error:
        click.echo(f"{error}", err=True)
        sys.exit(NO_SHIPPER)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8025, show_default=True)
def inspect(host: str, port: int) -> None:
    """Run a local stand-in for Moesif's collector, with a page that shows what arrives.

    The page also sets what the dashboard would: sampling rates and governance rules. Or by command:

    \b
    curl -X PUT http://127.0.0.1:8025/inspector/config -d '{"sample_rate": 50}'
    curl -X PUT http://127.0.0.1:8025/inspector/rules -d '[]'
    """
    from moesifasgi.inspector import serve

    try:
        serve(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}, port {port}: {error.strerror or error}"
        ) from error


def _serve(options: Any) -> None:
    """Own the spool and serve; exit status 0, also where another shipper serves already."""
    from moesifasgi.shipper.daemon import Daemon
    from moesifasgi.shipper.spool import SpoolError, SpoolInUse

    # From here on a signal finds handlers: while they are being set up it must not kill halfway.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.embedded else signal.SIG_DFL)
    _allow_descriptors()
    try:
        spool = _owned_spool(options)
    except SpoolInUse as error:
        if options.embedded:
            return
        raise click.ClickException(str(error)) from error
    except (SpoolError, OSError) as error:
        raise click.ClickException(f"the spool cannot be used: {error}") from error
    try:
        daemon = Daemon(options, spool)
    except OSError as error:
        spool.close()
        raise click.ClickException(f"cannot listen on {options.socket}: {error}") from error
    daemon.run()


def _allow_descriptors() -> None:
    """As many as the system grants: the usual soft limit is about what the peers alone may hold."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems grant less than their hard limit says.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _owned_spool(options: Any) -> Any:
    from moesifasgi.shipper.clock import Clock
    from moesifasgi.shipper.spool import SpoolInUse
    from moesifasgi.shipper.spool.sqlite import open_spool

    clock = Clock()
    deadline = time.monotonic() + (OWNER_WAIT_S if options.embedded else 0.0)
    while True:
        try:
            return open_spool(
                options.directory,
                max_bytes=options.spool_max_bytes,
                min_free_bytes=options.spool_min_free_bytes,
                durability=options.durability,
                clock=clock.wall,
                age_clock=clock.cautious_wall,
            )
        except SpoolInUse:
            if time.monotonic() >= deadline or _answers(options.socket):
                raise
            time.sleep(0.05)


def _answers(path: Path) -> bool:
    """Whether a shipper listens there."""
    from moesifasgi.unix_socket import connected

    try:
        connected(path, 1.0).close()
    except OSError:
        return False
    return True


def _socket(given: Path | None) -> Path:
    """The socket a tool means: the one named, the standalone shipper's, else this user's embedded one."""
    if given is not None:
        return given
    named = os.environ.get("MOESIF_SHIPPER_SOCKET")
    if named or DEFAULT_SOCKET.is_socket():
        return Path(named or DEFAULT_SOCKET)
    return embedded_socket(os.environ.get("MOESIF_SPOOL_DIR"), os.environ)


def _in_words(found: dict[str, Any]) -> str:
    counters, spool = found["counters"], found["spool"]
    lines = [
        f"{'healthy' if found['healthy'] else 'UNHEALTHY'}: shipper {found['version']}, pid {found['pid']},"
        f" up {found['uptime_seconds']:.0f} s, {len(found['workers'])} workers",
        *(f"  ! {reason}" for reason in found["reasons"]),
        *(f"  - {note}" for note in found["notes"]),
        f"  received {counters['received']}, delivered {counters['delivered']},"
        f" in the spool {spool['events']} ({spool['bytes']} bytes),"
        f" dead letters {counters['dead_lettered']}, dropped {sum(counters['dropped'].values())}",
    ]
    for label, entry in found["applications"].items():
        lines.append(f"  application {label}: {entry['state']}, requests {entry['requests']}")
        if (policy := entry["policy"]) is not None:
            lines.append(f"    policy: {policy['state']}, {policy['rules']} rules{_checked(policy)}")
            lines += [f"      ! {fault}" for fault in policy["faults"][:MAX_FAULT_LINES]]
            if (more := len(policy["faults"]) - MAX_FAULT_LINES) > 0:
                lines.append(f"      ! and {more} more, see --json")
    return "\n".join(lines)


def _checked(policy: dict[str, Any]) -> str:
    age_s, next_s = policy["age_seconds"], policy["next_check_in_seconds"]
    age = "" if age_s is None else f", checked {age_s:.0f} s ago"
    return age if next_s is None else f"{age}, next check in {next_s:.0f} s"

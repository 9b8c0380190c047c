"""From options to a shipper that serves: own the spool, listen, run. Faults become one line for a person."""

import contextlib
import logging
import os
import resource
import time
from pathlib import Path

import click

from moesifasgi.shipper import signals
from moesifasgi.shipper.clock import Clock
from moesifasgi.shipper.daemon import Daemon
from moesifasgi.shipper.monitor_address import MetricsUnavailable
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.reloads import Reloads
from moesifasgi.shipper.spool import SpoolError, SpoolInUse
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
from moesifasgi.shipper.systemd import is_activated
from moesifasgi.shipper.tool import NoShipper, ask_to_leave
from moesifasgi.unix_socket import answers

OWNER_WAIT_S = 8.0
"""How long an embedded shipper waits for one that is just leaving to let go of the spool, and a successor for
the one before it."""
LOOKED_S = 0.25
"""How long a shipper goes on trying for a spool that somebody may only be looking at (``check``)."""
ANSWERS_IN_S = 1.0
logger = logging.getLogger("moesifasgi.shipper")


def serve(options: Options, reloads: Reloads | None = None, *, take_over: bool = False) -> None:
    """Own the spool and serve; exit status 0, also where an embedded shipper finds another one at work."""
    signals.set_up(options.embedded)
    if not options.embedded:
        _make_room(options.socket.parent)
    os.umask(0o077)
    _allow_descriptors()
    try:
        spool = owned_spool(options, take_over=take_over)
    except SpoolInUse as error:
        if options.embedded:
            return
        hint = "no shipper answers at {}" if take_over else "--take-over has it leave for this one"
        raise click.ClickException(f"{error}; {hint.format(options.socket)}") from error
    except (SpoolError, OSError) as error:
        raise click.ClickException(f"the spool cannot be used: {error}") from error
    try:
        daemon = _listening(options, spool, reloads)
    except BaseException:
        spool.close()
        raise
    daemon.run()


def _make_room(directory: Path) -> None:
    """What /run holds is gone after a boot. Workers of other users have to pass, whatever the umask says."""
    # Where it is there, or not ours to make, listening says what is wrong.
    with contextlib.suppress(OSError):
        directory.mkdir()
        directory.chmod(0o755)


def _listening(options: Options, spool: SqliteSpool, reloads: Reloads | None) -> Daemon:
    socket = options.socket
    activated = is_activated(os.environ, os.getpid())
    if not options.embedded and not activated and answers(socket, ANSWERS_IN_S):
        raise click.ClickException(f"another shipper, with a spool of its own, listens on {socket}")
    try:
        return Daemon(options, spool, reloads)
    except MetricsUnavailable as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        hint = "" if socket.parent.is_dir() else f"; expected the directory {socket.parent}"
        raise click.ClickException(f"cannot listen on {socket}: {error.strerror or error}{hint}") from error


def _allow_descriptors() -> None:
    """As many as the system grants: the usual soft limit is about what the peers alone may hold."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems grant less than their hard limit says.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def owned_spool(options: Options, *, take_over: bool = False) -> SqliteSpool:
    """The spool, owned; an embedded shipper waits for one that is just leaving, a successor has it leave."""
    clock = Clock()
    deadline = time.monotonic() + _patience_s(options, take_over=take_over)
    first = True
    # Then it is systemd who answers.
    activated = is_activated(os.environ, os.getpid())
    while True:
        try:
            return open_spool(
                options.directory,
                max_bytes=options.terms.limits.max_bytes,
                min_free_bytes=options.terms.limits.min_free_bytes,
                durability=options.durability,
                clock=clock.wall,
                age_clock=clock.cautious_wall,
            )
        except SpoolInUse:
            if time.monotonic() >= deadline:
                raise
            if take_over:
                _have_it_leave(options, first=first)
                first = False
            elif not activated and answers(options.socket, ANSWERS_IN_S):
                raise
            time.sleep(0.05)


def _patience_s(options: Options, *, take_over: bool) -> float:
    if take_over:
        # One that is leaving already may go on delivering until its drain is over.
        return OWNER_WAIT_S + options.terms.drain_s
    return OWNER_WAIT_S if options.embedded else LOOKED_S


def _have_it_leave(options: Options, *, first: bool) -> None:
    """Ask the shipper that serves now; one that is leaving already does not listen any more.

    Judged is only ``first``: who was asked is on its way.
    """
    # Only who takes over pays for what judges it.
    from moesifasgi.shipper.succession import refuse_succession

    path = options.socket
    try:
        if first:
            refuse_succession(options)
        if path.exists():
            logger.info("shipper %d leaves for this one", ask_to_leave(path))
    except NoShipper as error:
        if path.exists():
            raise click.ClickException(f"cannot take over: {error}") from error
    except SpoolError as error:
        raise click.ClickException(f"cannot take over: {error}") from error
    except OSError as error:
        raise click.ClickException(f"cannot take over: {error.strerror or error}") from error

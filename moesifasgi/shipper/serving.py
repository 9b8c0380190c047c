"""From options to a shipper that serves: own the spool, listen, run. Faults become one line for a person."""

import contextlib
import resource
import signal
import time
from pathlib import Path

import click

from moesifasgi.shipper.clock import Clock
from moesifasgi.shipper.daemon import Daemon, Options
from moesifasgi.shipper.spool import SpoolError, SpoolInUse
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
from moesifasgi.unix_socket import connected

OWNER_WAIT_S = 8.0
"""How long an embedded shipper waits for one that is just leaving to let go of the spool."""


def serve(options: Options) -> None:
    """Own the spool and serve; exit status 0, also where another shipper serves already."""
    # From here on a signal finds handlers: while they are being set up it must not kill halfway.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.embedded else signal.SIG_DFL)
    _allow_descriptors()
    try:
        spool = owned_spool(options)
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


def owned_spool(options: Options) -> SqliteSpool:
    """The spool, owned; an embedded shipper waits for one that is just leaving."""
    clock = Clock()
    deadline = time.monotonic() + (OWNER_WAIT_S if options.embedded else 0.0)
    while True:
        try:
            return open_spool(
                options.directory,
                max_bytes=options.spool_max_bytes,
                min_free_bytes=options.spool_min_free_bytes,
                durability=options.durability,
                clock=clock.cautious_wall,
            )
        except SpoolInUse:
            if time.monotonic() >= deadline or _answers(options.socket):
                raise
            time.sleep(0.05)


def _answers(path: Path) -> bool:
    """Whether a shipper listens there."""
    try:
        connected(path, 1.0).close()
    except OSError:
        return False
    return True

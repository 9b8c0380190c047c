"""Starting the shipper's process, and looking after it. Not with ``subprocess``.

That waits for the end of a pipe, whose other end everybody inherits who is forked meanwhile: a worker that a
server forks just then would hold up the thread that starts the shipper, and its lock, for its whole life.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

_DEFAULT_AGAIN = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that the server may ignore, and its shipper does not have to."""


class Spawned:
    """A started process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs; 0 if somebody else asked first."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:
                self._status = 0
            else:
                self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def terminate(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)


def spawn(argv: Sequence[str], environment: Mapping[str, str], log: int) -> Spawned:
    """Start a program in a session of its own; ``log`` takes what it prints. OSError where it cannot be.

    It inherits what is inheritable, and the working directory: to let go of both is its first business.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        environment,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_DEFAULT_AGAIN,
    )
    return Spawned(pid)

"""Starting the shipper's process, and looking after it until it serves. Not with ``subprocess``.

That waits for the end of a pipe, whose other end everybody inherits who is forked meanwhile: a worker that a
server forks just then would hold up the thread that starts the shipper, and its lock, for its whole life.

What is started is ``bootstrap``, which becomes the attendant of a shipper that is nobody's child. It leaves
when this end of a socket is closed: by ``let_go``, or by the end of this process.
"""

import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from moesifasgi.channel import own_descriptors
from moesifasgi.channel.bootstrap import GOOD_ORDER

_DEFAULT_AGAIN = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ),
    signal.SIGCHLD,
)
"""Signals that the server may ignore, and its shipper does not have to."""
LEAVES_S = 1.0
"""Longest wait for an attendant, which leaves within milliseconds."""
POLL_S = 0.002
FIRST_PROCESS = 1
"""What is nobody's child is this one's, to reap: in a container it can be the server itself."""
_WORDS_BYTES = 64
"""Most that an attendant says."""
_orphans: set[int] = set()
"""What is still to be reaped: what a first process has let go of, and attendants that take their time."""


class Spawned:
    """A start under way."""

    def __init__(self, pid: int, line: int) -> None:
        """``line``: the descriptor whose closing lets the attendant go."""
        self.pid = pid
        self._line = line
        self._words = b""
        self._has_ended = False
        self._starter = os.getpid()

    def has_ended(self) -> bool:
        """Whether nothing runs any more of what we are to look after."""
        if not self._has_ended:
            try:
                self._has_ended = os.waitpid(self.pid, os.WNOHANG)[0] != 0
            except ChildProcessError:
                # Somebody else has asked first, or nobody need ask (SIGCHLD is ignored).
                self._has_ended = True
        return self._has_ended

    def in_good_order(self) -> bool:
        """Whether it was, once it has ended."""
        return self._said().endswith(GOOD_ORDER)

    def terminate(self) -> None:
        """Ask what was started to end."""
        if not self.has_ended():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def let_go(self) -> None:
        """It needs us no more: from now on it is nobody's child. Does nothing in a fork of its starter."""
        if self._line < 0 or os.getpid() != self._starter:
            return
        if self._starter == FIRST_PROCESS and (digits := self._said().rstrip(GOOD_ORDER)):
            _orphans.add(int(digits))
        own_descriptors.let_go(self._line)
        self._line = -1
        deadline = time.monotonic() + LEAVES_S
        while not self.has_ended():
            if time.monotonic() > deadline:
                _orphans.add(self.pid)
                return
            time.sleep(POLL_S)

    def _said(self) -> bytes:
        with suppress(OSError):
            self._words += os.read(self._line, _WORDS_BYTES)
        return self._words


def spawn(argv: Sequence[str], environment: Mapping[str, str], log: int) -> Spawned:
    """Start ``bootstrap`` in a session of its own; ``log`` takes what it prints. OSError where it cannot be.

    It inherits what is inheritable, and the working directory: to let go of both is its first business.
    """
    its_end, our_end = socket.socketpair()
    our_end.setblocking(False)
    line = our_end.detach()
    own_descriptors.keep(line)
    with its_end:
        try:
            return Spawned(_started(argv, environment, its_end.fileno(), log), line)
        except BaseException:
            own_descriptors.let_go(line)
            raise


def reap_orphans() -> None:
    """Those that have ended; in a forked child they are another's. Any thread may call it."""
    for pid in tuple(_orphans):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0]
        except ChildProcessError:
            ended = pid
        if ended:
            _orphans.discard(pid)


def _started(argv: Sequence[str], environment: Mapping[str, str], line: int, log: int) -> int:
    actions = [
        (os.POSIX_SPAWN_DUP2, line, 0),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    return os.posix_spawn(
        argv[0],
        list(argv),
        environment,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_DEFAULT_AGAIN,
    )

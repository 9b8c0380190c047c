"""The queue, seen from a worker: the write end of a pipe that was inherited, shared with all other workers.

It is a pipe of the ``multiprocess`` package, without what that package's own queues add to one: a lock that
a killed worker takes with it, and a semaphore that counts free places, which it leaks.
Pieces are small enough for the kernel to take whole or not at all (``wire.pieces``), so there is no lock,
nothing is ever written in part, and a full queue says so at once. The bound is the ring's.

The queue carries events only. They stay in the ring until the shipper acknowledges them over its socket, so
what is put here and never comes is sent again there.
"""

import select
import time
from collections.abc import Sequence
from typing import Protocol

from moesifasgi.wire.pieces import ROOM_BYTES, head

STALL_S = 1.5
"""Nothing of what was put is acknowledged for so long: something is wrong with the queue. Usual is 0.1 s."""
LOOK_S = 0.25
"""How often that is looked at; together they stay below 2 s."""
MAX_PUTS = 16
"""Pieces in one go, so that the lock is free again soon."""


class Writer(Protocol):
    """The write end: a ``multiprocess`` Connection, set not to block."""

    def fileno(self) -> int:
        """OSError if it was closed."""

    def send_bytes(self, buf: bytes) -> None:
        """BlockingIOError if there is no room; OSError if nobody reads."""

    def close(self) -> None:
        """Let go of it in this process."""


class QueueSource(Protocol):
    """Where a worker has its queue from: the handle that it inherited."""

    @property
    def writer(self) -> Writer | None:
        """None where there is no queue (any more)."""


class QueueStream:
    """One connection's way for events through the queue; for the carrier, what a ``Link`` is otherwise."""

    __slots__ = ("_base", "_head", "_looked_at", "_pending", "_waited_s", "_writer", "broken")

    def __init__(self, writer: Writer, session: bytes, number: int) -> None:
        """``number`` counts this process's streams."""
        self._writer = writer
        self._head = head(session, number)
        self._pending = b""
        self._base = 0
        self._waited_s = 0.0
        self._looked_at = time.monotonic()
        self.broken = False

    def fileno(self) -> int:
        return self._writer.fileno()

    @property
    def idle(self) -> bool:
        """Nothing half-sent: a whole frame may be written."""
        return not self._pending and not self.broken

    def write_one(self, framed: bytes) -> bool:
        """``write`` for one frame while the stream is idle; True if the queue took it whole."""
        if len(framed) > ROOM_BYTES:
            self.write((framed,))
            return self.idle
        try:
            self._writer.send_bytes(self._head + framed)
        except BlockingIOError:
            self._pending = framed
        except OSError:
            self.broken = True
        return self.idle

    def write(self, buffers: Sequence[bytes]) -> None:
        """Put what there is room for without waiting, and keep the rest. Never raises: see ``broken``."""
        waiting = b"".join((self._pending, *buffers))
        done, end = 0, min(len(waiting), MAX_PUTS * ROOM_BYTES)
        try:
            while done < end:
                self._writer.send_bytes(self._head + waiting[done : done + ROOM_BYTES])
                done += ROOM_BYTES
        except BlockingIOError:
            pass
        except OSError:
            self.broken = True
        self._pending = waiting[done:]

    def fault(self, base: int, held: int, now: float) -> str:
        """Why the queue is to be left; empty while it works. To be asked every ``LOOK_S``.

        ``base``: the first sequence that is not acknowledged; ``held``: how many are not. ``now``: monotonic.
        """
        # A worker that was stopped itself has not waited all that time.
        waited_s, self._looked_at = min(now - self._looked_at, 2 * LOOK_S), now
        self._waited_s = self._waited_s + waited_s if held and base == self._base else 0.0
        self._base = base
        if self.broken or is_deserted(self._writer):
            return "nobody reads it any more"
        if self._waited_s >= STALL_S:
            return f"nothing of it was acknowledged for {STALL_S:g} s"
        return ""


def is_deserted(writer: Writer) -> bool:
    """Whether the last reader is gone."""
    poller = select.poll()
    try:
        poller.register(writer.fileno(), 0)
    except OSError:
        return True
    return any(events & ~select.POLLOUT for _, events in poller.poll(0))

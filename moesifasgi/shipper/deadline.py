"""A total deadline for blocking socket work, whatever it is waiting for.

A read timeout starts anew with each byte, so a peer that drips one byte now and then holds a thread for
ever. Here one timer thread shuts the socket down when the time is over, which wakes the blocked thread with
an error. A shutdown is seen through TLS and proxy tunnels, because it ends the connection beneath them.
"""

import contextlib
import heapq
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator


class Limit:
    """The deadline of one piece of work, and the sockets that it uses."""

    __slots__ = ("_lock", "_sockets", "expired")

    def __init__(self) -> None:
        self.expired = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    @property
    def in_use(self) -> bool:
        """Whether the work has a connection."""
        return bool(self._sockets)

    def attach(self, sock: socket.socket) -> None:
        """This socket is in use until the work is over; one that comes too late is shut down at once.

        A duplicate is kept, because the owner's object may be closed while its connection lives on (by TLS,
        which takes it over, or by an answer that ends with the connection).
        """
        duplicate = socket.socket(fileno=os.dup(sock.fileno()))
        with self._lock:
            self._sockets.append(duplicate)
            if self.expired:
                _shut(duplicate)

    def expire(self) -> None:
        with self._lock:
            self.expired = True
            for sock in self._sockets:
                _shut(sock)

    def forget(self) -> None:
        """The work is over: a late expiry must not touch connections that serve somebody else by then."""
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()


class Deadlines:
    """All limits in force, watched by one daemon thread that starts with the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Limit]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[Limit]:
        """A limit for the work inside; ``expired`` tells afterwards whether it was cut off."""
        limit = Limit()
        entry = (time.monotonic() + seconds, next(self._numbers), limit)
        try:
            self._add(entry)
            yield limit
        finally:
            limit.forget()
            self._remove(entry)

    def close(self) -> None:
        """Cut off all work under a limit, and later work too. May be called twice."""
        with self._changed:
            self._closed = True
            limits = [limit for _, _, limit in self._heap]
            self._changed.notify()
        for limit in limits:
            limit.expire()

    def _add(self, entry: tuple[float, int, Limit]) -> None:
        with self._changed:
            heapq.heappush(self._heap, entry)
            if self._closed:
                entry[2].expire()
            elif self._thread is None:
                thread = threading.Thread(target=self._watch, name="moesif-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            elif self._heap[0] is entry:
                self._changed.notify()

    def _remove(self, entry: tuple[float, int, Limit]) -> None:
        with self._changed:
            if entry in self._heap:
                self._heap.remove(entry)
                heapq.heapify(self._heap)

    def _watch(self) -> None:
        while (limit := self._next_due()) is not None:
            limit.expire()

    def _next_due(self) -> Limit | None:
        """Wait for the next limit that runs out; None when closed."""
        with self._changed:
            while not self._closed:
                wait_s = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(wait_s)
        return None


def _shut(sock: socket.socket) -> None:
    # The peer may have closed it already, which is what was wanted.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)

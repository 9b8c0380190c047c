"""The listening socket in the receiver's selector, and its rest where no more connections are granted."""

import selectors
import socket
from collections.abc import Callable

from moesifasgi.quiet import say

REST_S = 0.5
"""Without descriptors, who waits stays to be accepted: to look again at once would be a hot loop."""


class Listener:
    """``accept`` is the selector's word that somebody waits. Times are monotonic seconds."""

    def __init__(
        self, listening: socket.socket, selector: selectors.BaseSelector, ready: Callable[[], None]
    ) -> None:
        """``ready`` is registered as the selector's data, for the loop to call."""
        self._socket = listening
        self._selector = selector
        self._ready = ready
        self._rests_until: float | None = None
        self._closed = False
        self._watch()

    def accept(self, now: float) -> socket.socket | None:
        """Who waits; None where the system refuses, which is then not asked for a while."""
        try:
            return self._socket.accept()[0]
        except BlockingIOError:
            return None  # It has left already.
        except OSError as error:
            say("accept", "could not accept a connection: %s", error)
            self._selector.unregister(self._socket)
            self._rests_until = now + REST_S
            return None

    def due_in_s(self, now: float) -> float | None:
        """Seconds until it wants to be woken; None while it does not rest."""
        return None if self._rests_until is None else max(0.0, self._rests_until - now)

    def wake(self) -> None:
        """Listen again."""
        self._rests_until = None
        self._watch()

    def close(self) -> None:
        """No new connections. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._rests_until is None:
            self._selector.unregister(self._socket)
        self._rests_until = None
        self._socket.close()

    def _watch(self) -> None:
        self._selector.register(self._socket, selectors.EVENT_READ, self._ready)

"""The request that is being served while an outgoing call is made: whose call it is.

Who makes a request is known when its functions have said so, which is after its response. Calls that ended
before wait for it, as many as there is room for; the others leave with what its headers say. A context
variable carries the request into tasks and threads; it counts until the application has returned from it, so
that a task which outlives its request does not act in that one's name for ever.
"""

import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from moesifasgi.enforcement.call import Caller
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.record import Record
from moesifasgi.exchange import Exchange, Scope
from moesifasgi.outgoing.dropped import record_dropped

if TYPE_CHECKING:
    from moesifasgi.outgoing.outgoing_recorder import OutgoingRecorder

MAX_WAITING_CALLS = 1_000
"""Calls of this process that may wait for their requests."""
MAX_WAITING_BYTES = 16 * 2**20
"""What the bodies of those may take."""

ASGIApp = Callable[..., Awaitable[None]]


class Who(NamedTuple):
    """Whose call it is; None: nobody's, or not known."""

    user_id: str | None = None
    company_id: str | None = None
    session_token: str | None = None


NOBODY = Who()


class Ended(Protocol):
    """A call that is over, and waits."""

    @property
    def size_bytes(self) -> int: ...

    def finish(self) -> None: ...


class Room:
    """For the calls of this process that wait."""

    def __init__(self, max_calls: int = MAX_WAITING_CALLS, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max = (max_calls, max_bytes)
        self.start_afresh()

    def start_afresh(self) -> None:
        """Empty, with a lock that nobody holds: for a forked child."""
        self.lock = threading.Lock()
        self._left_calls, self._left_bytes = self._max

    def take(self, size_bytes: int) -> bool:
        """Whether one more has room. The lock is held."""
        if self._left_calls < 1 or self._left_bytes < size_bytes:
            return False
        self._left_calls -= 1
        self._left_bytes -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """One of that size has left. The lock is held."""
        self._left_calls += 1
        self._left_bytes += size_bytes


_room = Room()
os.register_at_fork(after_in_child=_room.start_afresh)


class Serving:
    """One request that is being served. It implements ``exchange.Waiting``."""

    __slots__ = ("_answered", "_by_headers", "_caller", "_waiting", "_will_know", "is_open", "loop", "owner")

    def __init__(self, owner: "OutgoingRecorder", scope: Scope, settings: EventSettings) -> None:
        self.owner = owner
        self.loop: AbstractEventLoop | None = None
        """Where functions for its calls run, if it has one and there are functions."""
        self.is_open = True
        headers = scope.get("headers")
        # Copied: what lies inside may take a header away.
        self._caller = Caller(list(headers) if type(headers) is list else headers, None, settings)
        self._by_headers: Who | None = None
        self._answered: Who | None = None
        self._waiting: list[tuple[Ended, int]] = []
        self._will_know = False

    def wait_for(self, exchange: Exchange) -> None:
        """The user's functions will say who makes this request."""
        exchange.waiting = self
        self._will_know = True

    def who(self) -> Who:
        """Who makes the request, as far as it is known."""
        if self._answered is not None:
            return self._answered
        if self._by_headers is None:
            self._by_headers = self._who(None)
        return self._by_headers

    def keep(self, call: Ended) -> bool:
        """Keep a call until it is known whose it is; False if that is now, or there is no room."""
        if not self._will_know:
            return False
        # Once: an upload may still go on, and add to it.
        size_bytes = call.size_bytes
        with _room.lock:
            if self._answered is not None or not _room.take(size_bytes):
                return False
            self._waiting.append((call, size_bytes))
            return True

    def settle(self, record: Record | None) -> None:
        """The functions have said who it is, or never will."""
        if self._answered is not None:
            return
        who = self._who(record)
        with _room.lock:
            self._answered = who
            waiting, self._waiting = self._waiting, []
            for _, size_bytes in waiting:
                _room.give_back(size_bytes)
        for call, _ in waiting:
            call.finish()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Any, send: Any) -> None:
        """Run the application in this request's name."""
        before = _serving.get()
        _serving.set(self)
        try:
            await app(scope, receive, send)
        finally:
            self.is_open = False
            # Not by a token: a coroutine may be closed in another context than it began in.
            _serving.set(before)
            record_dropped()

    def _who(self, record: Record | None) -> Who:
        try:
            if record is None:
                return Who(_text(self._caller.user()))
            user = _text(self._caller.user(record.user_id))
            return Who(user, record.company_id, record.session_token)
        except ValueError:
            # No header fields: the server's scope is broken.
            return NOBODY


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


_serving: ContextVar[Serving | None] = ContextVar("moesifasgi_serving", default=None)


def serving_now() -> Serving | None:
    """The request in whose course this is."""
    serving = _serving.get()
    return serving if serving is not None and serving.is_open else None

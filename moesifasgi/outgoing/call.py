"""One outgoing call while it happens: what a client library's patch tells → Record.

A library's patch says what it sees, in the order of the protocol: ``sending`` and ``sent`` for the request's
body, ``answered``, ``received`` for the response's, and one of ``completed``, ``failed``, ``left``. Whatever
is wrong with us, none of these raises: the call goes on without us, and that is counted.
"""

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec
from urllib.parse import unquote_to_bytes

from moesifasgi.body_tap import BodyTap
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.record import OUTGOING, Ending, Headers, Record
from moesifasgi.exchange import NOT_ASKED
from moesifasgi.outgoing.dropped import drop
from moesifasgi.outgoing.serving import NOBODY, Serving, Who
from moesifasgi.policy.sampling import Sampling
from moesifasgi.transaction_id import new_transaction_id

if TYPE_CHECKING:
    from moesifasgi.outgoing.outgoing_recorder import OutgoingRecorder

P = ParamSpec("P")
Pair = tuple[Any, Any]
ShowResponse = Callable[["Captured"], Any]
"""Makes a response of the library's own class, of what was captured."""

SWITCHING_PROTOCOLS = 101
"""What follows is no HTTP; a WebSocket's handshake is no call, as it is none where it comes in."""
_HAS_NO_BODY = frozenset({204, 304})


class Sent(NamedTuple):
    """The head of a request that goes out."""

    method: str
    scheme: str
    host: str
    """As in the URL, encoded, without brackets."""
    port: int | None
    """None: the scheme's own."""
    target: bytes
    """Path and query as they go over the wire."""
    headers: Headers


class Captured(NamedTuple):
    """The bodies, for functions to see a response with: ``None`` where one is not all there."""

    body: bytes | None
    decoded: bool
    """Whether it is without the content coding that the headers name."""
    request_body: bytes | None
    """For the request that the response has."""


Method = Callable[Concatenate["OutgoingCall", P], None]


def _contained(method: Method[P]) -> Method[P]:
    """A fault of ours costs the record of this call."""

    def contained(self: "OutgoingCall", /, *arguments: P.args, **named: P.kwargs) -> None:
        try:
            method(self, *arguments, **named)
        except Exception as error:  # noqa: BLE001  (the application's call goes on)
            self.lost(error)

    contained.__doc__ = method.__doc__
    return contained


class OutgoingCall:
    """A call to another API. It implements ``pipeline.Matter``."""

    identified = NOT_ASKED

    def __init__(
        self, owner: "OutgoingRecorder", sent: Sent, serving: Serving | None, sampling: Sampling | None
    ) -> None:
        self.rate = owner.own_rate
        self.sampling = sampling
        self.transaction_id = new_transaction_id()
        self._owner = owner
        self._sent = sent
        self._serving = serving
        self._pid = os.getpid()
        self._started_at = time()
        self._ended_at = 0.0
        self.request_body = BodyTap(owner.body_limit_bytes(sent.headers))
        self._request_complete = False
        self._request_decoded = False
        self.response_body = BodyTap(None)
        self._response_decoded = False
        self._response_unseen = False
        self._status: int | None = None
        self._response_headers: Headers = []
        self._ending = Ending.ABANDONED
        self._error: str | None = None
        self._show_request: Callable[[bytes | None], Any] | None = None
        self._show_response: ShowResponse | None = None
        # Whoever takes the last of it ends the call: threads may do so at once.
        self._open = [True]

    @property
    def size_bytes(self) -> int:
        """What it holds of bodies, at most."""
        return sum(min(tap.size, tap.limit_bytes or 0) for tap in (self.request_body, self.response_body))

    @property
    def loop(self) -> AbstractEventLoop | None:
        """That of the request that is served."""
        return None if self._serving is None else self._serving.loop

    @property
    def is_asked_about(self) -> bool:
        """Whether a function of the user's will want to see request and response."""
        return self._owner.asks

    def contained(self, function: Callable[..., None], *arguments: Any) -> None:
        """What a library's patch has to do at this call, as harmless as the rest."""
        try:
            function(self, *arguments)
        except Exception as error:  # noqa: BLE001  (the application's call goes on)
            self.lost(error)

    def shown_as(self, show_request: Callable[[bytes | None], Any]) -> None:
        """How to make the library's request of its captured body (None: not all there).

        It holds no body itself, as ``show`` in ``answered`` does not: a call may wait, and only what was
        captured of it counts for how many may.
        """
        self._show_request = show_request

    @_contained
    def sending(self, data: Any, *, decoded: bool = False) -> None:
        """A part of the request's body goes out: bytes, a buffer of them, or text."""
        self.request_body.add(data.encode() if isinstance(data, str) else data)
        self._request_decoded = decoded

    @_contained
    def sending_anew(self) -> None:
        """The request's body is sent from its beginning again."""
        self.request_body = BodyTap(self.request_body.limit_bytes)
        self._request_complete = False

    def sent(self) -> None:
        """The request's body has gone out to its end."""
        self._request_complete = True

    @_contained
    def answered(self, status: int, headers: Headers, show: ShowResponse | None = None) -> None:
        """The response's head is here."""
        if status == SWITCHING_PROTOCOLS:
            self._open.clear()
            return
        self._status = status
        self._response_headers = headers
        self._show_response = show
        # Where there is no body, an empty one is all of it.
        self.response_body.limit_bytes = self._owner.body_limit_bytes(headers)

    @_contained
    def received(self, data: bytes, *, decoded: bool = False) -> None:
        """The application got this part of the response's body."""
        if self._open and data:
            self.response_body.add(data)
            self._response_decoded = decoded

    @_contained
    def unseen(self) -> None:
        """The response's body passes where we cannot see it."""
        self.response_body.limit_bytes = None
        self._response_unseen = True
        self._end(Ending.COMPLETE)

    @_contained
    def completed(self) -> None:
        """The application has got the response to its end."""
        self._end(Ending.COMPLETE)

    @_contained
    def failed(self, error: BaseException) -> None:
        """The library raised. A cancellation is not its doing, but the application's."""
        if isinstance(error, Exception):
            self._error = type(error).__name__
            self._end(Ending.FAILED)
        else:
            self._end(Ending.DISCONNECTED)

    @_contained
    def left(self) -> None:
        """The application closed the response; if it is over already, that is what everybody does."""
        self._end(Ending.COMPLETE if self._has_no_body() else Ending.DISCONNECTED)

    @_contained
    def abandoned(self) -> None:
        """The application let go of the response."""
        self._end(Ending.ABANDONED if self._status is not None else Ending.DISCONNECTED)

    def lost(self, error: Exception) -> None:
        """An error of ours: there will be no record."""
        if self._take():
            self._owner.lost(error)

    def pair(self, record: Record) -> Pair:
        """What one function gets; no response where there was none."""
        return self._owner.contained_pair(self._pair, record)

    def _pair(self, record: Record) -> Pair:
        request, response = record.request_body, record.response_body
        if request is not None and (len(request) < record.request_body_size or not record.request_complete):
            request = None
        if response is not None and (len(response) < record.response_body_size or record.ending):
            response = None
        captured = Captured(response, record.response_decoded, request)
        show_request, show_response = self._show_request, self._show_response
        return (
            None if show_request is None else show_request(request),
            None if show_response is None else show_response(captured),
        )

    def record(self, ended_at: float, weight: int, settings: EventSettings | None) -> Record:
        """What happened. It ended when it did, not when the request that it waited for has."""
        sent, who = self._sent, self._who()
        path, _, query = sent.target.partition(b"?")
        return Record(
            self.transaction_id,
            self._started_at,
            self._ended_at or ended_at,
            sent.method,
            sent.scheme,
            "1.1",
            unquote_to_bytes(path).decode("utf-8", "replace"),
            path,
            "",
            query,
            (sent.host, sent.port),
            None,
            sent.headers,
            self.request_body.content(),
            self.request_body.size,
            self._request_complete,
            self._status,
            self._response_headers,
            self.response_body.content(),
            self.response_body.size,
            self._ending,
            self._error,
            who.user_id,
            who.company_id,
            who.session_token,
            None,
            OUTGOING,
            weight,
            None,
            settings,
            self._response_unseen,
            self._request_decoded,
            self._response_decoded,
        )

    def attributed(self, record: Record) -> Record:
        """Where no function said who it is, it is whoever made the request that is served."""
        who = self._who()
        return record._replace(
            user_id=who.user_id if record.user_id is None else record.user_id,
            company_id=record.company_id or who.company_id,
            session_token=record.session_token or who.session_token,
        )

    def over(self) -> None:
        """Nobody waits for it."""

    def _has_no_body(self) -> bool:
        if self._sent.method == "HEAD" or self._status in _HAS_NO_BODY:
            return True
        return any(
            name.lower() == b"content-length" and value == b"0" for name, value in self._response_headers
        )

    def _who(self) -> Who:
        return NOBODY if self._serving is None else self._serving.who()

    def _take(self) -> bool:
        """Whether the call is ours to end: it is not over, nor our parent process's."""
        try:
            self._open.pop()
        except IndexError:
            return False
        return self._pid == os.getpid()

    def _end(self, ending: Ending) -> None:
        if not self._take():
            return
        try:
            self._ending = ending
            self._ended_at = time()
            if self._serving is None or not self._serving.keep(self):
                self._owner.finish(self)
        except Exception as error:  # noqa: BLE001  (nobody else will end it now)
            self._owner.lost(error)

    def finish(self) -> None:
        """It is known who made the request that was served."""
        self._owner.finish(self)

    def __del__(self, drop: Callable[["OutgoingCall"], None] = drop) -> None:
        # As a default, for modules are emptied when the interpreter ends.
        if getattr(self, "_open", None):
            drop(self)

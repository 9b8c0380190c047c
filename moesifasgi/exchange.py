"""ASGI messages in → Record out. Pure: it awaits nothing, reads no clock, draws no id.

One Exchange lives as long as its request. The shell (``middleware``) passes each message by it; it keeps what
a Record needs, at most ``limit`` bytes of each body, and says when the response has sent its last byte. It
takes whatever an application can send: what breaks the ASGI specification is the server's to refuse.

Scope and messages are shared with all that lies inside and outside, and each may write into them. So what is
recorded is copied when it is seen: of the scope as the server gave it, of a message before it goes out.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple, Protocol

from moesifasgi.body_tap import BodyTap
from moesifasgi.event.content_types import ContentTypes
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.record import INCOMING, Ending, Record
from moesifasgi.policy.identity import Identity
from moesifasgi.policy.sampling import Sampling

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]

TRANSACTION_HEADER = b"x-moesif-transaction-id"
CLIENT_CLOSED_REQUEST = 499
"""Status recorded where the client left before a response began; nginx's number for it."""
_COMPLETE = Ending.COMPLETE
_UNKNOWN_YET = (None, None, None, None, INCOMING)
"""User, company, session token, metadata and direction, as a Record has them before any hook."""
_AS_THE_HEADERS_SAY = (False, False)
"""Bodies pass with their content coding on."""
_NO_STATUS = {
    Ending.FAILED: 500,
    Ending.DISCONNECTED: CLIENT_CLOSED_REQUEST,
    Ending.ABANDONED: 500,
}
"""What the server answers (500), or nothing could be answered (499), where the application gave no status."""


class Answered(NamedTuple):
    """What IDENTIFY_USER and IDENTIFY_COMPANY said before the application ran; None: nobody, or not asked."""

    user_id: Identity = None
    company_id: Identity = None


NOT_ASKED = Answered()


class Waiting(Protocol):
    """Whoever waits for the answer to who makes this request."""

    def settle(self, record: Record | None) -> None:
        """Here it is, in the record; with None there is none, and will be none. Said once or more."""


def copy_of(scope: Scope) -> Scope:
    """A scope with dicts and lists of its own (state, path parameters, headers); what they hold is shared."""
    return {name: _copied(value) for name, value in scope.items()}


def _copied(value: object) -> object:
    # By the built-in types' own methods: a lazy session must not begin to load.
    if isinstance(value, dict):
        return dict.copy(value)
    return list.copy(value) if isinstance(value, list) else value


def message_as_seen(message: Message) -> Message:
    """A copy of a message that goes out, for ``Exchange.sent``; TypeError where it is none."""
    seen = {**message}
    if "headers" in seen:
        seen["headers"] = _own(seen["headers"])
    return seen


class Exchange:
    """One request and its response while it happens."""

    __slots__ = (
        "_client",
        "_content_types",
        "_disconnected",
        "_ending",
        "_error",
        "_http_version",
        "_method",
        "_path",
        "_query_string",
        "_raw_path",
        "_request_complete",
        "_request_headers",
        "_response_headers",
        "_response_unseen",
        "_root_path",
        "_scheme",
        "_scope",
        "_server",
        "_started_at",
        "_status",
        "_trailers_follow",
        "blocked_by",
        "finished",
        "identified",
        "rate",
        "request_body",
        "response_body",
        "sampling",
        "transaction_id",
        "waiting",
    )

    def __init__(
        self,
        scope: Scope,
        transaction_id: str,
        started_at: float,
        request_limit_bytes: int | None,
        response_limit_bytes: int | None,
    ) -> None:
        self.transaction_id = transaction_id
        self.request_body = BodyTap(request_limit_bytes)
        self.finished = False
        self.rate = 100.0
        """The rate in percent at which it was kept so far."""
        self.sampling: Sampling | None = None
        """The dashboard's rates, if they are to be asked for at the end."""
        self.identified = NOT_ASKED
        self.waiting: Waiting | None = None
        """Outgoing calls made meanwhile, if there may be any."""
        self.blocked_by: str | None = None
        """The governance rule that answered in the application's place."""
        self._scope = scope
        # As the server gave them: what lies inside rewrites the shared scope (a Mount extends root_path).
        self._method = scope.get("method", "GET")
        self._scheme = scope.get("scheme", "http")
        self._http_version = scope.get("http_version", "1.1")
        self._path = scope.get("path", "/")
        self._raw_path = scope.get("raw_path")
        self._root_path = scope.get("root_path", "")
        self._query_string = scope.get("query_string", b"")
        server, client = scope.get("server"), scope.get("client")
        self._server = server and tuple(server)
        self._client = client and tuple(client)
        self._request_headers = _own(scope.get("headers"))
        # What an application makes of HEAD, the server does not put on the wire.
        self.response_body = BodyTap(None if self._method == "HEAD" else response_limit_bytes)
        self._started_at = started_at
        self._status: int | None = None
        self._response_headers: list[tuple[bytes, bytes]] = []
        self._response_unseen = False
        self._request_complete = False
        self._trailers_follow = False
        self._disconnected = False
        self._ending = Ending.ABANDONED
        self._error: str | None = None
        self._content_types: ContentTypes | None = None

    def record_only(self, content_types: ContentTypes) -> None:
        """Leave out bodies of other types, or of none. To be called before the first message."""
        self._content_types = content_types
        headers = self._request_headers
        # An iterator can be read only once, and that is for the application to do.
        if isinstance(headers, Iterator) or not content_types.admit(_pairs(headers)):
            self.request_body.limit_bytes = None

    @property
    def response_started(self) -> bool:
        return self._status is not None

    def scope(self) -> Scope:
        """A copy of the scope as the application left it (state, user, path parameters), under the path that
        the server gave it.
        """
        return {**copy_of(self._scope), "path": self._path, "root_path": self._root_path}

    def received(self, message: Mapping[str, Any]) -> None:
        """A message that the application got from ``receive``."""
        kind = message.get("type")
        if kind == "http.request":
            data = message.get("body")
            if data:
                self.request_body.add(data)
            if not message.get("more_body"):
                self._request_complete = True
        elif kind == "http.disconnect":
            self.client_left()

    def starting(self, message: Message, *, identified: bool) -> Message:
        """``http.response.start`` as it goes out; the application's own message is untouched.

        ``identified``: with the transaction id among its headers.
        """
        headers = message.get("headers", ())
        read_once = isinstance(headers, Iterator)
        if not identified and not read_once:
            return message
        # A list: a generator of headers can be read only once, and the server reads it too.
        headers = list(headers)
        try:
            if identified and TRANSACTION_HEADER not in [name.lower() for name, _ in headers]:
                # One that is there is the application's, or that of another middleware whose turn is first.
                headers.append((TRANSACTION_HEADER, self.transaction_id.encode("ascii")))
        except (AttributeError, TypeError, ValueError):
            # No pairs: that is for the server to refuse, with what the application gave.
            if not read_once:
                return message
        return {**message, "headers": headers}

    def client_left(self) -> None:
        """The server said so: by a message, or by refusing to take more of the response."""
        if not self.finished:
            self._disconnected = True

    def sent(self, message: Mapping[str, Any]) -> bool:
        """A message that the server took from ``send``, as it was before (``message_as_seen``).

        True if the response is over with it (said once).
        """
        if self.finished:
            return False
        kind = message.get("type")
        if kind == "http.response.body":
            data = message.get("body")
            if data:
                self.response_body.add(data)
            if not message.get("more_body"):
                return not self._trailers_follow and self._over(_COMPLETE)
            # Nobody reads what a left client is still sent; an endless stream would never be recorded.
            return self._disconnected and self._over(Ending.DISCONNECTED)
        if kind == "http.response.start":
            self._status = message.get("status")
            self._response_headers = _pairs(message.get("headers"))
            types = self._content_types
            if types is not None and not types.admit(self._response_headers):
                self.response_body.limit_bytes = None
            self._trailers_follow = bool(message.get("trailers"))
        elif kind == "http.response.trailers":
            self._response_headers = [*self._response_headers, *_pairs(message.get("headers"))]
            return not message.get("more_trailers") and self._over(_COMPLETE)
        elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
            # The server reads the file itself: what cannot be seen whole is not recorded.
            if self.response_body.limit_bytes is not None:
                self.response_body.limit_bytes = None
                self._response_unseen = True
            return not message.get("more_body") and not self._trailers_follow and self._over(_COMPLETE)
        return False

    def ended(self, error: BaseException | None, *, cancelled: bool) -> None:
        """The application returned or raised, and the response was not over."""
        self.finished = True
        if cancelled or self._disconnected:
            # Frameworks raise errors of their own where the client has left; nobody gets an answer any more.
            self._ending = Ending.DISCONNECTED
        elif error is not None:
            self._ending = Ending.FAILED
        self._error = type(error).__name__ if error is not None and not cancelled else None

    def attributed(self, record: Record) -> Record:
        """The functions have said who it is."""
        if self.waiting is not None:
            self.waiting.settle(record)
        return record

    def over(self) -> None:
        """Nothing more will be said of who it is."""
        if self.waiting is not None:
            self.waiting.settle(None)

    def record(self, ended_at: float, weight: int = 1, settings: EventSettings | None = None) -> Record:
        """What happened, as one value. ``ended_at`` is in the unit and of the clock of ``started_at``."""
        status = self._status
        # Every field, in one step: a NamedTuple's own constructor takes three times as long.
        return Record._make(
            (
                self.transaction_id,
                self._started_at,
                ended_at,
                self._method,
                self._scheme,
                self._http_version,
                self._path,
                self._raw_path,
                self._root_path,
                self._query_string,
                self._server,
                self._client,
                _pairs(self._request_headers),
                self.request_body.content(),
                self.request_body.size,
                self._request_complete,
                _NO_STATUS.get(self._ending) if status is None else status,
                self._response_headers,
                self.response_body.content(),
                self.response_body.size,
                self._ending,
                self._error,
                *_UNKNOWN_YET,
                weight,
                self.blocked_by,
                settings,
                self._response_unseen,
                *_AS_THE_HEADERS_SAY,
            )
        )

    def _over(self, ending: Ending) -> bool:
        self._ending = ending
        self.finished = True
        return True


def _own(headers: Any) -> Any:
    """Headers as they are now. An iterator stays: it can be read only once, by those whom it is meant for."""
    if type(headers) is list:
        # Nearly always, and asking for an abstract class takes longer than the copy.
        return headers.copy()
    return headers if headers is None or isinstance(headers, Iterator) else list(headers)


def _pairs(headers: Iterable[Iterable[bytes]] | None) -> list[Any]:
    """Headers as a list; the pairs stay as they are, msgpack packs lists and tuples alike."""
    if headers is None:
        return []
    return headers if isinstance(headers, list) else list(headers)

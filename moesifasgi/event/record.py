"""The Record: one finished exchange, raw, as the worker hands it over.

What lives here: the value and its two wire forms. What this file must not know: how a Record comes to be
(``exchange``) and what Moesif makes of it (``event.build``).

A Record is a NamedTuple because it is built and packed once a request in the worker: a tuple is the
cheapest frozen value Python has, and msgpack packs it as it is. On the wire it is an array of its fields in
the order below; a field may be added at the end (``from_wire`` fills in its default for an older worker, and
ignores fields of a newer one), none may be moved.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from moesifasgi.event.event_settings import EventSettings

Headers = Sequence[tuple[bytes, bytes]]
"""Header fields as ASGI gives them: (name, value) pairs of bytes, in order, duplicates kept."""


INCOMING, OUTGOING = "Incoming", "Outgoing"
"""Directions: a call of this application's API, and one that the application makes to another."""


class Ending(IntEnum):
    """How the exchange ended, as far as the middleware saw it.

    Of an outgoing call the application is the client, and what fails is the call.
    """

    COMPLETE = 0
    """The application sent its last body message."""
    FAILED = 1
    """The application raised: recorded as status 500 unless a response had started. An outgoing call did."""
    DISCONNECTED = 2
    """The client left, or the server cancelled the request, before the last body message. The application
    cancelled an outgoing call, or closed its response before the end.
    """
    ABANDONED = 3
    """The application returned without finishing its response. It forgot that of an outgoing call."""


class Record(NamedTuple):
    """One request and its response. Times are seconds since the epoch (UTC); sizes are bytes."""

    transaction_id: str
    """uuid4, 36 characters, minted at capture; the collector deduplicates on it."""
    started_at: float
    """When the request's first byte reached the application side."""
    ended_at: float
    """When the response's last byte was handed to the server."""
    method: str
    scheme: str
    http_version: str
    path: str
    """Decoded path of the ASGI scope; used only where ``raw_path`` is None."""
    raw_path: bytes | None
    """The path as the client sent it, percent-encoded, without query."""
    root_path: str
    query_string: bytes
    server: tuple[str, int | str | None] | None
    client: tuple[str, int | str] | None
    request_headers: Headers
    request_body: bytes | None
    """What the application read, cut at MAX_BODY_SIZE; None where it is not to be recorded."""
    request_body_size: int
    """How much the application read; more than ``len(request_body)`` means that the body was cut."""
    request_complete: bool
    """False if the application did not read the body to its end."""
    status: int | None
    """None if no response was started and the application did not raise."""
    response_headers: Headers
    response_body: bytes | None
    response_body_size: int
    ending: int = Ending.COMPLETE
    error: str | None = None
    """Class name of the exception that the application raised; never its text, which may hold secrets."""
    user_id: str | None = None
    """None: nobody has said, so the authorization header is asked. Empty: not known, and not asked for."""
    company_id: str | None = None
    session_token: str | None = None
    metadata: dict[str, Any] | None = None
    direction: str = INCOMING
    weight: int = 1
    blocked_by: str | None = None
    settings: EventSettings | None = None
    """None: the defaults. As it comes from the wire it is an array (``EventSettings.from_wire``)."""
    response_unseen: bool = False
    """Whether the response's body is left out because the server read it from a file by itself."""
    request_decoded: bool = False
    """Whether the body is recorded without the content coding that the headers name."""
    response_decoded: bool = False

    @classmethod
    def from_wire(cls, fields: object) -> "Record":
        """Rebuild a Record from a decoded msgpack array.

        Raises ValueError where the array cannot be a Record; the types of single fields are checked by
        whoever reads them (``event.build``), because what is damaged there costs only that event.
        """
        if not isinstance(fields, (list, tuple)):
            raise ValueError(f"a record is an array, not {type(fields).__name__}")
        required = len(cls._fields) - len(cls._field_defaults)
        if len(fields) < required:
            raise ValueError(f"a record has at least {required} fields, not {len(fields)}")
        return cls(*fields[: len(cls._fields)])

"""One call of an application, and what Moesif then has of it."""

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A value that is told in words rather than shown."""

    words: str
    fits: Callable[[Any], bool] = field(repr=False)


LEFT_OUT = Seen("left out", lambda value: value is None)
UUID = Seen("a UUID, new for each call", lambda value: re.fullmatch(r"[0-9a-f-]{36}", str(value)) is not None)


def base64(raw: bytes, words: str = "as it came, in base64") -> Seen:
    """Bytes that are stored as they are."""
    return Seen(words, lambda value: value == b64encode(raw).decode())


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks, and what the application makes of it."""

    method: str = "POST"
    path: str = "/orders"
    query: str = ""
    headers: Headers = ()
    body: bytes = b""
    response_headers: Headers = ()
    response_body: bytes = b""
    client: tuple[str, int] | None = ("203.0.113.7", 50_000)
    server: tuple[str, int | None] | None = ("10.0.0.5", 8000)
    scheme: str = "https"
    root_path: str = ""
    raw_path: bytes | None = None
    """As the client wrote it; None: ``path`` needs no encoding."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    application: Callable[[Any, Receive, Send], Awaitable[None]] | None = None
    """None: it reads the body and answers 200."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the page: ``name`` in words, the call, and the fields of the event by their paths.

    The path ``request.body`` also says ``transfer_encoding``: base64 where the value is bytes. A note in the
    metadata that no path names is a fault.
    """

    name: str
    call: Call
    stored: Mapping[str, Any]
    example: str | None = None
    """What the page shows of the call; None: its headers, body and settings."""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    introduction: str
    cases: tuple[Case, ...]


def posted(
    name: str,
    headers: Headers,
    body: bytes,
    stored: Any,
    note: dict[str, Any] | None = None,
    example: str | None = None,
    **settings: Any,
) -> Case:
    """A request body, what is stored of it and what is noted."""
    notes = {} if note is None else {"metadata.moesif.request_body": note}
    return Case(
        name, Call(headers=headers, body=body, settings=settings), {"request.body": stored, **notes}, example
    )

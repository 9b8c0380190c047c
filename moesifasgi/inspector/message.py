"""A request and its answer as values, so that what answers knows no socket. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import orjson

JSON = "application/json; charset=utf-8"
APPLICATION_ID = "X-Moesif-Application-Id"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its body as it came over the wire."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. A body that is an iterator goes out in chunks, for what is too long to hold."""

    status: int
    body: bytes | Iterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(status: int, document: Any) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, orjson.dumps(document), {"Content-Type": JSON})

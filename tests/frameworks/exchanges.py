"""A framework's application on real servers, bare and with the middleware, and its events."""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lab.processes import eventually
from lab.servers import Server, ServerName, running
from lab.status import status_in
from lab.verbatim import Answer, Call, Conversation, converse

from moesifasgi.channel.leftovers import left_in
from moesifasgi.inspector import Collector

DELIVERED_S = 20.0
HERE = Path(__file__).parent
JSON = (("Content-Type", "application/json"),)
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
BYTES = (("Content-Type", "application/octet-stream"),)
PARTS = (b"a" * 3000, b"\x00\xff" * 2000, b"z")
CALLS = (
    Call("json", "POST", "/echo", JSON, (b'{"name": "lamp", "tags": ["new", null], "price": 12.5}',)),
    Call("path-parameter", "GET", "/items/7"),
    Call("text", "GET", "/text"),
    Call("html", "GET", "/page"),
    Call("no-content", "DELETE", "/nothing"),
    Call("redirect", "GET", "/redirect"),
    Call("two-cookies", "GET", "/cookies"),
    Call("stream", "GET", "/stream"),
    Call("upload-in-chunks", "POST", "/upload", BYTES, PARTS),
    Call("upload", "POST", "/upload", BYTES, (b"".join(PARTS),)),
    Call("form", "POST", "/form", FORM, (b"name=lamp&colour=dark+red",)),
    Call("file", "GET", "/file"),
    Call("head", "HEAD", "/text"),
    Call("not-found", "GET", "/missing"),
    Call("exception", "GET", "/boom"),
)
"""What every framework's application answers."""


def follow_up(call: Call) -> Call:
    """A second call on the same connection, after which the server is to close it."""
    return Call(f"after-{call.name}", "GET", "/text", (("Connection", "close"),))


def conversations(server: Server, calls: Sequence[Call]) -> list[Conversation]:
    """Each call and its follow-up, on a connection of their own."""
    return [converse(server, (call, follow_up(call))) for call in calls]


def answered_in(calls: Sequence[Call], found: Sequence[Conversation]) -> list[tuple[Call, Answer]]:
    """All calls of ``conversations`` that were answered; after an exception a server may close at once."""
    return [
        (made, answer)
        for call, conversation in zip(calls, found, strict=True)
        for made, answer in zip((call, follow_up(call)), conversation.answers, strict=False)
    ]


class Events:
    """What the collector got, by the names of the calls."""

    def __init__(self, collector: Collector) -> None:
        self._items = collector.store.items()
        self.summary = collector.store.summary()["events"]

    def assert_one_each(self, calls: Sequence[Call]) -> None:
        """Exactly one valid event for each of these calls, and nothing else."""
        assert self.names() == sorted(call.name for call in calls)
        assert self.summary["received"] == self.summary["distinct"] == len(calls)

    def names(self) -> list[str]:
        return sorted(name for event in self._items if (name := name_of(event)))

    def of(self, call: Call) -> dict[str, Any]:
        (only,) = (event for event in self._items if name_of(event) == call.name)
        return only


class Laboratory:
    """Servers whose middlewares all ship to one collector, from one directory."""

    def __init__(self, directory: Path, collector: Collector) -> None:
        self.directory = directory
        self._spool = directory / "spool"
        self.collector = collector
        self._environment = {
            "MOESIF_APPLICATION_ID": "framework-application-id-as-long-as-a-real-one-0123456789abcdef",
            "MOESIF_BASE_URI": collector.url,
            "MOESIF_SPOOL_DIR": str(self._spool),
            "MOESIF_SHIPPER_SOCKET": str(directory / "no-standalone-shipper.sock"),
            # Frameworks join sets into headers (Allow), whose order is otherwise a process's own.
            "PYTHONHASHSEED": "0",
        }

    @contextmanager
    def serving(
        self,
        module: str,
        place: str,
        server: ServerName = "uvicorn",
        *,
        uds: bool = False,
        extra: Sequence[str] = (),
    ) -> Iterator[Server]:
        """``module``'s application with the middleware in this place; it has ended after the block.

        What was captured is delivered by then, so that the collector's counts are final. On a busy machine
        that may be after the server's end; and inside a mount Starlette runs no lifespan: nothing drains.
        """
        path = self.directory / f"{place}.sock" if uds else None
        environment = {**self._environment, "PLACE": place}
        with running(server, f"{module}:app", 1, cwd=HERE, env=environment, uds=path, extra=extra) as started:
            yield started
            started.terminate()
            eventually(self._all_delivered, DELIVERED_S, "all that was captured is delivered")

    def _all_delivered(self) -> bool:
        """Of a server that has ended: what no shipper took is in a file then."""
        spooled = status_in(self._spool).get("spool", {"events": 0})
        return not left_in(self._spool) and not spooled["events"]

    def events(self) -> Events:
        return Events(self.collector)


def name_of(event: dict[str, Any]) -> str | None:
    return dict(parse_qsl(urlsplit(event["request"]["uri"]).query)).get("call")


def content(message: dict[str, Any]) -> Any:
    """A body of an event: a JSON value, or bytes; None where there is none."""
    body = message.get("body")
    return b64decode(body) if message.get("transfer_encoding") == "base64" else body


def as_stored(body: bytes, content_type: str) -> Any:
    """What an event has to hold of a body that went over the wire."""
    if "json" in content_type:
        return json.loads(body) if body else None
    if "urlencoded" in content_type:
        return dict(parse_qsl(body.decode()))
    return body or None


def assert_true(event: dict[str, Any], call: Call, answer: Answer, *, unseen_body: bool = False) -> None:
    """The event says what the client saw. ``unseen_body``: the server wrote it, after the middleware."""
    request, response = event["request"], event["response"]
    assert (request["verb"], request["uri"], response["status"]) == (call.method, call.url, answer.status)
    sent_type = dict(call.headers).get("Content-Type", "")
    assert content(request) == as_stored(b"".join(call.body), sent_type), call
    cookies = [value.decode() for name, value in answer.headers if name == b"set-cookie"]
    assert all(cookie in response["headers"]["set-cookie"] for cookie in cookies), call
    if call.method == "HEAD":
        # Some frameworks give the server a body all the same, and leave it to the server to drop it.
        assert content(response) is None, call
        return
    got_type = dict(answer.headers).get(b"content-type", b"").decode()
    if unseen_body:
        assert content(response) is None, call
    else:
        assert content(response) == as_stored(answer.body, got_type), call

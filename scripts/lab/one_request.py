"""One request as a server gives it to an application, and what it gets back."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


def scope(**more: Any) -> Message:
    """An HTTP scope as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org")],
        "server": ("127.0.0.1", 80),
        "client": ("192.0.2.7", 40_000),
        "state": {},
        **more,
    }


class OneRequest:
    """The server's end of one request: gives out ``messages`` in turn, then waits; keeps what it is sent."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]
        self.sent: list[Message] = []
        self.starved = asyncio.Event()
        """Set once more is asked for than there is."""

    async def receive(self) -> Message:
        if not self.messages:
            self.starved.set()
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def parts(*bodies: bytes) -> list[Message]:
    """The messages of an upload that comes in these parts."""
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": n < last} for n, body in enumerate(bodies)]

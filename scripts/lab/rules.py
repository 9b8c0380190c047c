"""Governance rules as the dashboard writes them, and requests as raw ASGI, for tests and benchmarks."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


def rule(name: str, *conditions: tuple[str, str], kind: str = "regex", **more: Any) -> dict[str, Any]:
    """One rule; its id is its name. Conditions are (path, pattern), all of which have to match."""
    entries = [{"conditions": [{"path": path, "value": value} for path, value in conditions]}]
    return {"_id": name, "name": name, "type": kind, "regex_config": entries if conditions else [], **more}


def blocking(
    name: str, *conditions: tuple[str, str], status: int = 403, body: Any = None, **more: Any
) -> dict[str, Any]:
    """A rule that answers in the application's place."""
    response = {"status": status, "headers": {"X-Blocked": name}, "body": body or {"blocked": name}}
    return rule(name, *conditions, block=True, response=response, **more)


def adding(name: str, *conditions: tuple[str, str], headers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule that adds headers and blocks nothing."""
    return rule(name, *conditions, block=False, response={"headers": headers}, **more)


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

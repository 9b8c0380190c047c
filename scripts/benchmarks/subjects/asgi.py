"""Subject: requests to a FastAPI application under one variant, called as a server calls it.

python -m benchmarks.subjects.asgi VARIANT [ARGUMENT]
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.subjects.turns import take_turns
from benchmarks.subjects.variants import VARIANTS, Application, Message

BODY = b'{"name":"desk lamp","amount":12,"note":"as a gift"}'
"""51 bytes of JSON."""
HEADERS = [
    (b"host", b"shop.example.com"),
    (b"connection", b"keep-alive"),
    (b"content-length", str(len(BODY)).encode()),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/plain, */*"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-language", b"en-GB,en;q=0.9"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0"),
    (b"authorization", b"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"),
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"x-request-id", b"4f6c1f0e-8f0b-4a59-9b0e-6b8f7b1c2d3e"),
    (b"origin", b"https://shop.example.com"),
]


class Connection:
    """The server's end of one request, as uvicorn plays it."""

    __slots__ = ("_asked", "_ended", "status")

    def __init__(self) -> None:
        self._asked = False
        self._ended: asyncio.Future[None] | None = None
        self.status = 0

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": BODY, "more_body": False}
        self._ended = asyncio.get_running_loop().create_future()
        await self._ended
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body") and self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


def scope() -> dict[str, Any]:
    """A new scope, with what uvicorn puts into one."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 51234),
        "scheme": "http",
        "method": "POST",
        "root_path": "",
        "path": "/orders",
        "raw_path": b"/orders",
        "query_string": b"source=newsletter",
        "headers": list(HEADERS),
        "state": {},
    }


@asynccontextmanager
async def lifespan(app: Application) -> AsyncIterator[None]:
    """The application between its start-up and its shutdown."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    running = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    await outbox.get()
    yield
    await inbox.put({"type": "lifespan.shutdown"})
    await outbox.get()
    await running


async def drive(app: Application, count: int) -> None:
    """So many requests one after the other, each in a task of its own, as a server does it."""
    for _ in range(count):
        connection = Connection()
        await asyncio.ensure_future(app(scope(), connection.receive, connection.send))
        if connection.status != 201:
            raise RuntimeError(f"the application answered {connection.status}")


async def main(variant: str, *arguments: str) -> None:
    app = VARIANTS[variant](*arguments)
    async with lifespan(app):
        await take_turns(lambda count: drive(app, count))


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:]))

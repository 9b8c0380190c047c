"""What hostile requests are sent to: it counts bytes, or streams without an end.

Environment: ``HOSTILE_SETTINGS`` are the middleware's, as JSON; without it the application is bare. ``/held``
is answered beside the middleware: how long that has held up the loop, and how large the process has been.
"""

import asyncio
import json
import math
import os
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from lab.cpu_time import CpuTime
from starlette.responses import StreamingResponse

from moesifasgi import MoesifMiddleware

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
CHUNK = bytes(1 << 20)
PROBE_S = 0.001


class Held:
    """What ``/held`` tells."""

    def __init__(self) -> None:
        self.cpu = CpuTime()
        self.calls = 0
        self._longest_gap_s = 0.0
        self._probe: asyncio.Task[None] | None = None

    def told(self) -> bytes:
        """As JSON; the figures start afresh."""
        if self._probe is None:
            self._probe = asyncio.create_task(self._watch())
        told = {
            "calls": self.calls,
            "held_s": self.cpu.longest_s,
            "gap_s": self._longest_gap_s,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        self.calls, self.cpu.longest_s, self._longest_gap_s = 0, 0.0, 0.0
        return json.dumps(told).encode()

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(PROBE_S)
            self._longest_gap_s = max(self._longest_gap_s, time.monotonic() - began - PROBE_S)


async def application(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise ValueError("this application knows HTTP only")
    held.calls += 1
    if scope["path"] == "/endless":
        await StreamingResponse(_chunks(math.inf))(scope, receive, send)
    elif scope["path"].startswith("/download/"):
        await StreamingResponse(_chunks(int(scope["path"].rpartition("/")[2])))(scope, receive, send)
    else:
        await _count(receive, send)


async def _count(receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await _answer(send, b"%d bytes" % size)


async def _chunks(count: float) -> AsyncIterator[bytes]:
    while count > 0:
        yield CHUNK
        # Otherwise nobody else runs once the server takes no more of it.
        await asyncio.sleep(0)
        count -= 1


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] == "/held":
        await _answer(send, held.told())
    else:
        await watched(scope, receive, send)


held = Held()
settings = os.environ.get("HOSTILE_SETTINGS")
watched: Any = application
if settings is not None:
    parsed = json.loads(settings)
    watched = held.cpu.of(lambda inner: MoesifMiddleware(inner, parsed), application)

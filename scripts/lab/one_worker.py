"""The middleware around an application in this process, and its events as Moesif would get them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from pathlib import Path
from typing import Any, Literal

import httpx
import msgpack
import trio
import uvloop

from moesifasgi import MoesifMiddleware
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.channel.registry import channel_for
from moesifasgi.event.build import build_event
from moesifasgi.event.record import Record
from moesifasgi.settings import Settings
from moesifasgi.waiting import waiting
from moesifasgi.wire.messages import Kind

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]
Backend = Literal["asyncio", "uvloop", "trio"]
BACKENDS: tuple[Backend, ...] = ("asyncio", "uvloop", "trio")
HOOKS_END_S = 10.0


class OneWorker:
    """A worker process, as far as the middleware knows: one memory channel."""

    def __init__(self, directory: Path) -> None:
        self.settings: dict[str, Any] = {
            "APPLICATION_ID": "app-of-the-tests",
            "TRANSPORT": "memory",
            "SHIPPER_SOCKET": str(directory / "nowhere.sock"),
        }

    def wrap(self, app: App | None, **settings: Any) -> MoesifMiddleware:
        return MoesifMiddleware(app, settings={**self.settings, **settings})

    @property
    def channel(self) -> MemoryChannel:
        channel = channel_for(Settings.load(self.settings, {}))
        assert isinstance(channel, MemoryChannel)
        return channel

    @property
    def wire(self) -> bytes:
        """All that has left the process."""
        return b"".join(event.payload for event in self.channel.events)

    @property
    def events(self) -> list[dict[str, Any]]:
        made = []
        for event in self.channel.events:
            content = msgpack.unpackb(event.payload, strict_map_key=False)
            is_record = event.kind == Kind.RECORD
            made.append(build_event(Record.from_wire(content)) if is_record else content)
        return made

    @property
    def event(self) -> dict[str, Any]:
        (only,) = self.events
        return only

    def counted(self, name: str) -> int:
        return self.channel.counters.snapshot().get(name, 0)

    @property
    def difference(self) -> int:
        """See ``Counters.difference``."""
        return self.channel.counters.difference(len(self.channel.events), len(waiting))


def run(backend: Backend, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The answer of a coroutine function, under one of the event loops."""
    if backend == "trio":
        return trio.run(function)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if backend == "uvloop" else None) as runner:
        return runner.run(function())


async def ask(app: App, method: str, path: str, **more: Any) -> httpx.Response:
    """One request, straight into the application."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://example.org") as client:
        return await client.request(method, path, **more)


def asked(app: App, method: str, path: str, backend: Backend = "asyncio", **more: Any) -> httpx.Response:
    """One request, and the end of the user's functions for it."""

    async def main() -> httpx.Response:
        response = await ask(app, method, path, **more)
        await waiting.drain(HOOKS_END_S)
        return response

    response = run(backend, main)
    assert isinstance(response, httpx.Response)
    return response

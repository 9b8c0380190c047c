"""The lifespan scope: it passes unchanged, and no worker leaves undrained while it can still wait."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import pytest
import trio

from moesifasgi.channel import Drained
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.lifespan import Lifespan

Message = MutableMapping[str, Any]
STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


class Diary(MemoryChannel):
    """A channel that notes what is asked of it, between the messages that the server is sent."""

    def __init__(self, pages: list[str], error: Exception | None = None) -> None:
        super().__init__()
        self._pages = pages
        self._error = error
        self.drained_on: int | None = None

    def start(self) -> None:
        self._pages.append("start")

    def drain(self, timeout_s: float, *, give_up: bool) -> Drained:
        assert (timeout_s, give_up) == (5.0, True)
        self._pages.append("drain")
        self.drained_on = threading.get_ident()
        if self._error is not None:
            raise self._error
        return Drained(delivered=False, reason="a reason")

    def close(self) -> None:
        self._pages.append("close")


class Run:
    """One life of an application under a server that says ``messages``."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], *messages: Message, error: Exception | None = None
    ):
        self.pages: list[str] = []
        self._messages = list(messages)
        self._app = app
        self.channel = Diary(self.pages, error)

    async def run(self) -> None:
        await Lifespan(self.channel, 5.0, self._receive, self._send).run(self._app, {"type": "lifespan"})

    async def _receive(self) -> Message:
        if not self._messages:
            await anyio.sleep_forever()
        return self._messages.pop(0)

    async def _send(self, message: Message) -> None:
        self.pages.append(message["type"])


async def app(scope: Message, receive: Any, send: Any) -> None:
    for kind in ("lifespan.startup", "lifespan.shutdown"):
        assert (await receive())["type"] == kind
        await send({"type": f"{kind}.complete"})


async def refuses(scope: Message, receive: Any, send: Any) -> None:
    raise KeyError("lifespan")


async def returns(scope: Message, receive: Any, send: Any) -> None:
    return


WHOLE_LIFE = ["start", "lifespan.startup.complete", "drain", "close", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("of", [app, refuses, returns])
def test_a_worker_drains_before_the_server_hears_that_shutdown_is_complete(backend: str, of: Any):
    """B3: nothing was flushed at exit; here also where the application knows no lifespan."""
    life = Run(of, STARTUP, SHUTDOWN)

    if backend == "trio":
        trio.run(life.run)
    else:
        asyncio.run(life.run())

    assert life.pages == WHOLE_LIFE


def test_the_messages_pass_as_they_are():
    seen: list[Any] = []
    startup, complete = dict(STARTUP), {"type": "lifespan.startup.complete", "state": object()}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        seen.append(await receive())
        await send(complete)

    async def receive() -> Message:
        return startup

    async def send(message: Message) -> None:
        seen.append(message)

    asyncio.run(Lifespan(MemoryChannel(), 5.0, receive, send).run(app, {"type": "lifespan"}))

    assert seen[0] is startup
    assert seen[1] is complete


@pytest.mark.parametrize("told", [True, False])
def test_a_startup_that_fails_fails_as_it_would(told: bool):
    error = RuntimeError("no database")

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        if told:
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise error

    life = Run(app, STARTUP)
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(life.run())

    assert caught.value is error
    assert life.pages == ["start", *["lifespan.startup.failed"][: int(told)]]


@pytest.mark.parametrize(
    ("answer", "raises"),
    [("lifespan.shutdown.failed", True), ("lifespan.shutdown.failed", False), (None, True), (None, False)],
)
def test_a_shutdown_that_fails_drains_too_and_fails_as_it_would(answer: str | None, raises: bool):
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if answer:
            await send({"type": answer, "message": ""})
        if raises:
            raise RuntimeError("at shutdown")

    life = Run(app, STARTUP, SHUTDOWN)
    if raises:
        with pytest.raises(RuntimeError, match="at shutdown"):
            asyncio.run(life.run())
    else:
        asyncio.run(life.run())

    assert life.pages == ["start", "lifespan.startup.complete", "drain", "close", *filter(None, [answer])]


def test_a_drain_that_fails_does_not_keep_the_server_from_stopping(caplog: pytest.LogCaptureFixture):
    life = Run(app, STARTUP, SHUTDOWN, error=ZeroDivisionError())

    asyncio.run(life.run())

    assert life.pages == [page for page in WHOLE_LIFE if page != "close"]
    assert "ZeroDivisionError" in caplog.text


def test_a_drain_waits_on_a_thread_of_its_own_and_not_on_the_loops():
    life = Run(app, STARTUP, SHUTDOWN)

    asyncio.run(life.run())

    assert life.channel.drained_on not in (None, threading.get_ident())

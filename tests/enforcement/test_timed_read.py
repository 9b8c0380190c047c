"""The read-ahead ends with HOOK_TIMEOUT, and what comes after that is lost to nobody."""

import asyncio
import contextlib
import gc
from typing import Any

import anyio
import pytest
import trio
from lab.one_request import OneRequest, parts, scope
from lab.one_worker import OneWorker
from lab.rules import blocking
from starlette.responses import PlainTextResponse

from moesifasgi.enforcement.timed_read import TimedRead

BODY_RULE = blocking("r1", ("request.body.kind", "^bad$"))
FIRST, SECOND = parts(b'{"kind": ', b'"bad"}')
SOON_S, LONG_S = 0.05, 5.0


class Slow:
    """A server whose client sends the second part when it has an answer: ``answered`` is set."""

    def __init__(self, event: Any) -> None:
        self.answered = event
        self.messages = [FIRST, SECOND]
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        if len(self.messages) == 1:
            await self.answered.wait()
        if not self.messages:
            await self.never()
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        self.answered.set()

    async def never(self) -> None:
        raise AssertionError("more was asked for than there is")


class Conversing:
    """Answers after the first part, then reads on."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.got.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.got.append(await receive())
        await send({"type": "http.response.body", "body": b"over"})


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_application_that_answers_before_the_end_of_the_body_is_asked_in_time(
    worker: OneWorker, push: Any, backend: str
):
    app = Conversing()
    watched = worker.wrap(app, HOOK_TIMEOUT=SOON_S)
    push(rules=[BODY_RULE])
    servers: list[Slow] = []

    async def main() -> None:
        servers.append(Slow(asyncio.Event() if backend == "asyncio" else trio.Event()))
        with anyio.fail_after(LONG_S):
            await watched(scope(method="POST"), servers[0].receive, servers[0].send)

    asyncio.run(main()) if backend == "asyncio" else trio.run(main)

    assert all(got is sent for got, sent in zip(app.got, (FIRST, SECOND), strict=True))
    assert [message["type"] for message in servers[0].sent] == ["http.response.start", "http.response.body"]
    assert worker.event["request"]["body"] == {"kind": "bad"}


def test_a_receive_that_is_under_way_survives_an_application_that_gives_it_up():
    """A framework that listens for the end of the connection does so, and then reads the body."""

    async def main() -> list[Any]:
        server = Slow(asyncio.Event())
        reading = TimedRead(server.receive)
        assert await reading.body(1000, SOON_S) is None
        got = [await reading.receive()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reading.receive(), SOON_S)
        server.answered.set()
        got.append(await reading.receive())
        return got

    assert asyncio.run(main()) == [FIRST, SECOND]


def test_after_the_limit_no_more_is_read_than_was_asked_for():
    async def main() -> int:
        server = OneRequest(*parts(b"a", b"b", b"c", b"d"))
        gate = asyncio.Event()

        async def receive() -> Any:
            await gate.wait()
            return await server.receive()

        reading = TimedRead(receive)
        assert await reading.body(1000, SOON_S) is None
        gate.set()
        assert (await reading.receive())["body"] == b"a"
        return len(server.messages)

    assert asyncio.run(main()) == 3


def test_a_receive_that_fails_after_the_limit_fails_for_the_application():
    async def main() -> None:
        gate = asyncio.Event()

        async def receive() -> Any:
            calls.append(None)
            await gate.wait()
            if len(calls) == 1:
                raise ConnectionResetError
            return SECOND

        calls: list[None] = []
        reading = TimedRead(receive)
        assert await reading.body(1000, SOON_S) is None
        gate.set()
        with pytest.raises(ConnectionResetError):
            await reading.receive()
        assert await reading.receive() is SECOND

    asyncio.run(main())


def test_a_receive_that_fails_when_nobody_asks_any_more_is_no_complaint(caplog: pytest.LogCaptureFixture):
    async def main() -> None:
        async def receive() -> Any:
            await gate.wait()
            raise ConnectionResetError

        gate = asyncio.Event()
        reading = TimedRead(receive)
        assert await reading.body(1000, SOON_S) is None
        gate.set()
        await asyncio.sleep(SOON_S)
        reading.close()

    asyncio.run(main())
    gc.collect()
    assert caplog.messages == []


@pytest.mark.parametrize("ending", ["returns", "raises"])
def test_what_is_under_way_ends_with_the_application(worker: OneWorker, push: Any, ending: str):
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        if ending == "raises":
            raise ValueError
        await PlainTextResponse("hello")(scope, receive, send)

    async def main() -> int:
        server = OneRequest(FIRST)
        with contextlib.suppress(ValueError):
            await watched(scope(method="POST"), server.receive, server.send)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    watched = worker.wrap(hasty, HOOK_TIMEOUT=SOON_S)
    push(rules=[BODY_RULE])
    assert asyncio.run(main()) == 1


def test_a_request_that_is_cancelled_takes_the_receive_with_it():
    async def main() -> int:
        server = OneRequest(FIRST)
        request = asyncio.create_task(TimedRead(server.receive).body(1000, LONG_S))
        await server.starved.wait()
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1

"""Asynchronous functions that take their time: what waits for them, for how long, and how many may."""

import asyncio
import contextlib
import contextvars
import gc
import time
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from fastapi import BackgroundTasks, FastAPI
from lab.one_worker import BACKENDS, Backend, OneWorker, ask, asked, run
from starlette.responses import PlainTextResponse

import moesifasgi
from moesifasgi.waiting import MAX_WAITING, Waiting, waiting

HELLO = PlainTextResponse("hello")
LOOPS = [backend for backend in BACKENDS if backend != "trio"]
TIMEOUT_S = 0.05
SLACK_S = 0.5
"""What a busy machine may add; far below the seconds that a hook would hold things up."""


async def sleeps(request: Any, response: Any) -> str:
    await anyio.sleep(10)
    return "too late"


async def ann(request: Any, response: Any) -> str:
    await anyio.lowlevel.checkpoint()
    return "ann"


async def stubborn(request: Any, response: Any) -> str:
    """Takes no cancellation for an answer."""
    ends = time.monotonic() + 1
    while time.monotonic() < ends:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue
    return "too late"


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", **more}


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    return None


async def one_request(app: Any) -> None:
    await app(scope(), receive, send)


@pytest.mark.parametrize("backend", LOOPS)
def test_a_sleeping_hook_delays_neither_response_nor_background_task_nor_next_request(
    worker: OneWorker, backend: Backend
):
    """A18, T11: the user's functions ran before the response was sent."""
    moments: list[float] = []
    app = FastAPI()

    @app.get("/")
    async def index(tasks: BackgroundTasks) -> str:
        tasks.add_task(lambda: moments.append(time.monotonic()))
        return "hello"

    app.add_middleware(
        moesifasgi.MoesifMiddleware,
        settings={**worker.settings, "IDENTIFY_USER": sleeps, "HOOK_TIMEOUT": 2 * SLACK_S},
    )

    async def main() -> None:
        for _ in range(2):
            begun = time.monotonic()
            assert (await ask(app, "GET", "/")).status_code == 200
            moments.append(time.monotonic())
            assert max(moments) - begun < SLACK_S
        assert moesifasgi.stats()["in_hooks"] == 2
        await waiting.drain(3.0)

    run(backend, main)

    assert len(moments) == 4
    assert len(worker.events) == 2
    assert worker.counted("hook_timed_out") == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hook_that_is_out_of_time_leaves_its_field_empty_and_the_others_theirs(
    worker: OneWorker, backend: Backend
):
    app = worker.wrap(
        HELLO,
        IDENTIFY_USER=ann,
        IDENTIFY_COMPANY=sleeps,
        GET_SESSION_TOKEN=lambda request, response: "s",
        HOOK_TIMEOUT=TIMEOUT_S,
    )
    begun = time.monotonic()
    asked(app, "GET", "/", backend)

    assert time.monotonic() - begun < TIMEOUT_S + SLACK_S
    event = worker.event
    assert (event["user_id"], event.get("company_id"), event["session_token"]) == ("ann", None, "s")
    assert worker.counted("hook_timed_out") == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_hooks_of_an_event_share_one_time_limit(worker: OneWorker, backend: Backend):
    late = dict.fromkeys(("SKIP", "IDENTIFY_USER", "IDENTIFY_COMPANY", "GET_SESSION_TOKEN"), sleeps)
    begun = time.monotonic()
    asked(worker.wrap(HELLO, HOOK_TIMEOUT=0.3, **late), "GET", "/", backend)

    assert 0.3 <= time.monotonic() - begun < 0.3 + SLACK_S
    assert worker.counted("hook_timed_out") == 4


def test_the_functions_own_time_out_is_a_failure(worker: OneWorker):
    async def gives_up(request: Any, response: Any) -> None:
        raise TimeoutError

    asked(worker.wrap(HELLO, IDENTIFY_USER=gives_up), "GET", "/")

    assert (worker.counted("hook_failed"), worker.counted("hook_timed_out")) == (1, 0)


@pytest.mark.parametrize("later", [False, True])
def test_a_function_that_holds_up_the_loop_is_counted(worker: OneWorker, later: bool):
    async def blocks_later(request: Any, response: Any) -> str:
        return blocks(request, response)

    def blocks(request: Any, response: Any) -> str:
        time.sleep(2 * TIMEOUT_S)
        return "ann"

    asked(
        worker.wrap(HELLO, IDENTIFY_USER=blocks_later if later else blocks, HOOK_TIMEOUT=TIMEOUT_S),
        "GET",
        "/",
    )

    assert worker.event["user_id"] == "ann"
    assert worker.counted("hook_overran") == 1


@pytest.mark.parametrize("backend", LOOPS)
def test_no_more_than_a_thousand_events_wait_at_once(worker: OneWorker, backend: Backend):
    app = worker.wrap(HELLO, IDENTIFY_USER=sleeps, IDENTIFY_COMPANY=lambda *pair: "c", HOOK_TIMEOUT=1.0)
    waited: list[int] = []

    async def main() -> None:
        for _ in range(MAX_WAITING + 50):
            await one_request(app)
        waited.append(len(waiting))
        assert worker.difference == 0
        await waiting.drain(10.0)

    run(backend, main)

    assert waited == [MAX_WAITING]
    assert worker.counted("hook_crowded_out") == 50
    assert worker.counted("hook_timed_out") == MAX_WAITING
    assert [event["company_id"] for event in worker.events] == ["c"] * (MAX_WAITING + 50)


def test_an_asynchronous_mask_that_is_crowded_out_fails_closed(
    worker: OneWorker, monkeypatch: pytest.MonkeyPatch
):
    from moesifasgi import recorder

    async def mask(event: Any) -> Any:
        return event

    monkeypatch.setattr(recorder, "waiting", Waiting(max_events=0))
    asked(worker.wrap(PlainTextResponse("a secret"), MASK_EVENT_MODEL=mask), "GET", "/")

    assert "body" not in worker.event["response"]
    assert (worker.counted("hook_crowded_out"), worker.counted("withheld")) == (1, 1)


async def lifespan(app: Any) -> float:
    """Start and stop; how long the stop took."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    begun = time.monotonic()

    async def next_message() -> Any:
        return messages.pop(0)

    await app({"type": "lifespan"}, next_message, send)
    return time.monotonic() - begun


async def serves(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await HELLO(scope, receive, send)
        return
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})


@pytest.mark.parametrize("backend", LOOPS)
def test_shutdown_waits_for_hooks_before_the_channel_is_drained(worker: OneWorker, backend: Backend):
    async def slow(request: Any, response: Any) -> str:
        await asyncio.sleep(0.2)
        return "ann"

    app = worker.wrap(serves, IDENTIFY_USER=slow)

    async def main() -> None:
        await one_request(app)
        assert worker.events == []
        await lifespan(app)

    run(backend, main)

    assert worker.event["user_id"] == "ann"


@pytest.mark.parametrize("backend", LOOPS)
@pytest.mark.parametrize("hook", [sleeps, stubborn])
def test_shutdown_is_over_within_its_limit_and_the_events_go_without_the_answer(
    worker: OneWorker, backend: Backend, hook: Any
):
    app = worker.wrap(serves, IDENTIFY_USER=hook, HOOK_TIMEOUT=60, SHUTDOWN_TIMEOUT=0.4)

    async def main() -> float:
        for _ in range(10):
            await one_request(app)
        took_s = await lifespan(app)
        assert len(worker.events) == 10
        return took_s

    assert run(backend, main) < 0.4 + SLACK_S
    assert worker.counted("hook_timed_out") == 10


@pytest.mark.parametrize("backend", LOOPS)
def test_a_loop_that_closes_lets_the_events_go_without_a_warning(
    worker: OneWorker, backend: Backend, caplog: pytest.LogCaptureFixture
):
    app = worker.wrap(HELLO, IDENTIFY_USER=sleeps, IDENTIFY_COMPANY=lambda *pair: "c", HOOK_TIMEOUT=60)

    async def main() -> None:
        await one_request(app)
        await anyio.sleep(0.01)
        await one_request(app)

    run(backend, main)

    assert [event["company_id"] for event in worker.events] == ["c", "c"]
    assert len(waiting) == 0
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("backend", LOOPS)
def test_a_task_cancelled_before_its_first_step_lets_its_event_go(worker: OneWorker, backend: Backend):
    app = worker.wrap(HELLO, IDENTIFY_USER=sleeps, IDENTIFY_COMPANY=lambda *pair: "c", HOOK_TIMEOUT=60)

    async def main() -> None:
        await one_request(app)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await waiting.drain(SLACK_S)

    run(backend, main)

    assert worker.event["company_id"] == "c"
    assert worker.counted("hook_timed_out") == 1


@pytest.mark.parametrize("backend", LOOPS)
def test_a_hook_sees_the_context_of_its_request(worker: OneWorker, backend: Backend):
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tenant.set(scope["path"])
        await HELLO(scope, receive, send)

    async def who(request: Any, response: Any) -> str:
        await asyncio.sleep(0.01)
        return tenant.get()

    watched = worker.wrap(app, IDENTIFY_USER=who, IDENTIFY_COMPANY=lambda *pair: tenant.get())

    async def main() -> None:
        await asyncio.gather(*(watched(scope(path=f"/{n}"), receive, send) for n in range(3)))
        await waiting.drain(5.0)

    run(backend, main)

    assert {(event["user_id"], event["company_id"]) for event in worker.events} == {
        (f"/{n}", f"/{n}") for n in range(3)
    }


def test_on_trio_a_hook_has_its_time_though_the_request_is_cancelled(worker: OneWorker):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await trio.sleep_forever()

    async def slow(request: Any, response: Any) -> str:
        await trio.sleep(0.05)
        return "ann"

    async def main() -> None:
        with trio.move_on_after(0.01):
            await one_request(worker.wrap(app, IDENTIFY_USER=slow))

    trio.run(main)

    assert worker.event["user_id"] == "ann"


def test_a_request_whose_coroutine_is_thrown_away_is_recorded_without_waiting(worker: OneWorker):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    class Forever:
        def __await__(self) -> Any:
            yield

    async def waits() -> Any:
        await Forever()

    request = worker.wrap(app, IDENTIFY_USER=sleeps)(scope(), waits, send)
    request.send(None)
    request.close()

    assert worker.event["response"]["status"] == 499
    assert worker.counted("hook_timed_out") == 1


def test_a_request_cancelled_while_the_loop_closes_is_recorded(
    worker: OneWorker, caplog: pytest.LogCaptureFixture
):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(10)

    async def main() -> None:
        request = asyncio.create_task(one_request(worker.wrap(app, IDENTIFY_USER=sleeps, HOOK_TIMEOUT=60)))
        await asyncio.sleep(0.01)
        assert not request.done()

    asyncio.run(main())

    assert worker.event["metadata"]["moesif"]["ending"] == "disconnected"
    assert len(waiting) == 0
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("backend", LOOPS)
def test_a_hook_that_takes_no_cancellation_is_left_behind(worker: OneWorker, backend: Backend):
    """Its event waited for ever, and the loop was busy cancelling it."""
    freed = asyncio.Event()

    async def refuses(request: Any, response: Any) -> str:
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()
        return "too late"

    async def main() -> None:
        await one_request(worker.wrap(HELLO, IDENTIFY_USER=refuses, HOOK_TIMEOUT=TIMEOUT_S))
        await waiting.drain(10.0)
        assert len(worker.events) == 1
        assert len(waiting) == 0
        freed.set()

    run(backend, main)

    assert "user_id" not in worker.event
    assert worker.counted("hook_timed_out") == 1


def test_functions_left_behind_are_bounded(worker: OneWorker, monkeypatch: pytest.MonkeyPatch):
    from moesifasgi import recorder

    few = Waiting(max_events=1)
    monkeypatch.setattr(recorder, "waiting", few)
    freed = asyncio.Event()

    async def refuses(request: Any, response: Any) -> None:
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()

    async def main() -> None:
        app = worker.wrap(HELLO, IDENTIFY_USER=refuses, HOOK_TIMEOUT=TIMEOUT_S)
        await one_request(app)
        await few.drain(10.0)
        await one_request(app)
        freed.set()

    asyncio.run(main())

    assert (worker.counted("hook_timed_out"), worker.counted("hook_crowded_out")) == (1, 1)


def test_after_the_limit_of_a_shutdown_no_function_is_called(worker: OneWorker):
    """500 events, each with 10 ms of a synchronous hook, took 5 s more."""
    called: list[Any] = []
    app = worker.wrap(
        PlainTextResponse("a secret"),
        IDENTIFY_USER=sleeps,
        GET_METADATA=lambda *pair: called.append(pair),
        MASK_EVENT_MODEL=lambda event: called.append(event),
        HOOK_TIMEOUT=60,
    )

    async def main() -> None:
        for _ in range(3):
            await one_request(app)
        await waiting.drain(TIMEOUT_S)
        assert worker.difference == 0

    asyncio.run(main())

    assert called == []
    assert [event["response"].get("body") for event in worker.events] == [None] * 3
    assert (worker.counted("hook_timed_out"), worker.counted("withheld")) == (9, 3)


def test_a_loop_closed_without_cancelling_keeps_no_event(worker: OneWorker):
    app = worker.wrap(HELLO, IDENTIFY_USER=sleeps, HOOK_TIMEOUT=60)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(one_request(app))
    loop.close()
    assert worker.events == []

    asyncio.run(waiting.drain(TIMEOUT_S))

    assert len(worker.events) == 1
    assert len(waiting) == 0


@pytest.mark.filterwarnings("error")
def test_an_awaitable_that_is_crowded_out_is_let_go_of_without_a_warning(
    worker: OneWorker, monkeypatch: pytest.MonkeyPatch
):
    from moesifasgi import recorder

    class Wrapped:
        def __init__(self, *pair: Any) -> None:
            self._inside = ann(*pair)

        def __await__(self) -> Any:
            return self._inside.__await__()

    monkeypatch.setattr(recorder, "waiting", Waiting(max_events=0))
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    asked(worker.wrap(HELLO, IDENTIFY_USER=Wrapped), "GET", "/")
    gc.collect()

    assert unraisable == []
    assert worker.counted("hook_crowded_out") == 1

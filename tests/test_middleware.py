"""The ASGI shell around real applications: what passes through it is unchanged, what it records is true."""

import asyncio
import contextvars
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.lowlevel
import httpx
import msgpack
import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from lab.one_request import scope
from lab.one_worker import OneWorker
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from moesifasgi import MoesifMiddleware
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.errors import SettingsError
from moesifasgi.event.record import Ending, Record
from moesifasgi.recorder import Recorder
from moesifasgi.settings import Settings
from moesifasgi.wire.ring import Offer

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]
HEADER = "x-moesif-transaction-id"


class Worker(OneWorker):
    """What its records say."""

    @property
    def records(self) -> list[Record]:
        return [Record.from_wire(msgpack.unpackb(event.payload)) for event in self.channel.events]

    @property
    def record(self) -> Record:
        (only,) = self.records
        return only

    def counted(self, **expected: int) -> bool:
        numbers = self.channel.counters.snapshot()
        return {name: numbers.get(name.replace("__", "."), 0) for name in expected} == expected


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker whose every captured event must have a fate at the end of the test."""
    made = Worker(tmp_path)
    yield made
    assert made.channel.counters.difference(len(made.channel.events), 0) == 0


class Server:
    """An ASGI server of one request: gives out ``messages`` in turn, then waits; keeps what it is sent."""

    def __init__(self, *messages: Message, broken_after: int | None = None) -> None:
        self._messages = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]
        self._broken_after = broken_after
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        if self._broken_after is not None and len(self.sent) >= self._broken_after:
            raise ConnectionResetError("the client is gone")
        self.sent.append(message)


def run(app: App, server: Server, /, **more: Any) -> list[Message]:
    asyncio.run(app(scope(**more), server.receive, server.send))
    return server.sent


async def ask(app: App, method: str, path: str, **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://example.org") as client:
        return await client.request(method, path, **more)


def asked(app: App, method: str, path: str, **more: Any) -> httpx.Response:
    return asyncio.run(ask(app, method, path, **more))


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> dict[str, Any]:
        return {"number": number, "name": "ü"}

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {"got": (await request.body()).decode()}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse((f"data: {n}\n\n" for n in range(5)), media_type="text/event-stream")

    @app.get("/cookies")
    async def cookies() -> JSONResponse:
        response = JSONResponse({}, status_code=201)
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret")

    return app


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/items/3", {}),
    ("GET", "/items/none", {}),
    ("HEAD", "/items/3", {}),
    ("POST", "/echo", {"content": b"hello"}),
    ("GET", "/stream", {}),
    ("GET", "/cookies", {}),
    ("GET", "/missing", {}),
    ("GET", "/broken", {}),
]


@pytest.mark.parametrize(("method", "path", "more"), REQUESTS, ids=[path for _, path, _ in REQUESTS])
def test_a_response_is_that_of_the_bare_application(
    worker: Worker, method: str, path: str, more: dict[str, Any]
):
    bare = asked(fastapi_app(), method, path, **more)
    app = fastapi_app()
    app.add_middleware(MoesifMiddleware, settings=worker.settings)
    watched = asked(app, method, path, **more)

    assert (watched.status_code, watched.content) == (bare.status_code, bare.content)
    assert [pair for pair in watched.headers.multi_items() if pair[0] != HEADER] == bare.headers.multi_items()
    assert worker.record.status == bare.status_code
    if method != "HEAD" and path != "/broken":
        assert worker.record.response_body == bare.content


def test_the_id_of_the_response_is_the_events(worker: Worker):
    """A2: the id in the header was another than the event's."""
    response = asked(worker.wrap(fastapi_app()), "GET", "/items/1")

    assert response.headers[HEADER] == worker.record.transaction_id
    assert str(uuid.UUID(response.headers[HEADER])) == response.headers[HEADER]
    assert len(response.headers[HEADER]) == 36


def test_a_clients_own_id_is_not_taken_over(worker: Worker):
    response = asked(worker.wrap(fastapi_app()), "GET", "/items/1", headers={HEADER: "theirs"})

    assert response.headers[HEADER] != "theirs"


def test_overlapping_requests_have_ids_of_their_own(worker: Worker):
    """A2: two requests under way at once shared the later one's id."""
    count = 1_000
    answered: dict[bytes, str] = {}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await everyone_is_here.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": scope["query_string"]})

    async def one(number: int) -> None:
        server, query = Server(), str(number).encode()
        await watched(scope(query_string=query), server.receive, server.send)
        answered[query] = dict(server.sent[0]["headers"])[HEADER.encode()].decode()

    async def main() -> None:
        requests = [asyncio.create_task(one(number)) for number in range(count)]
        await asyncio.sleep(0)
        everyone_is_here.set()
        await asyncio.gather(*requests)

    watched, everyone_is_here = worker.wrap(app), asyncio.Event()
    asyncio.run(main())

    assert {record.response_body: record.transaction_id for record in worker.records} == answered
    assert all(record.response_body == record.query_string for record in worker.records)
    assert len(set(answered.values())) == count


def test_without_the_id_the_applications_messages_pass_as_they_are(worker: Worker):
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1")]}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    sent = run(worker.wrap(app, DISABLED_TRANSACTION_ID=True), Server())

    assert sent[0] is start
    assert worker.record.response_headers == [[b"a", b"1"]]


def test_a_request_without_a_client_address_is_served_and_recorded(worker: Worker):
    """A3: behind a Unix socket each request became a 500."""
    sent = run(worker.wrap(fastapi_app()), Server(), client=None, path="/items/1")

    assert sent[0]["status"] == 200
    assert worker.record.client is None


def test_an_unhandled_exception_is_recorded_as_a_500_and_raised_again(worker: Worker):
    """A4: the failures that matter most were not recorded."""
    error = RuntimeError("a secret")

    async def app(scope: Message, receive: Any, send: Any) -> None:
        raise error

    with pytest.raises(RuntimeError) as caught:
        run(worker.wrap(app), Server())
    assert caught.value is error
    assert (worker.record.status, worker.record.error) == (500, "RuntimeError")
    assert b"a secret" not in worker.channel.events[0].payload


def test_an_application_that_returns_without_a_response_is_recorded(worker: Worker):
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()

    assert run(worker.wrap(app), Server()) == []
    assert (worker.record.status, worker.record.ending) == (500, Ending.ABANDONED)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
def test_a_stream_whose_client_leaves_is_recorded(worker: Worker, spec_version: str):
    """A5: an aborted stream made no event."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"data: x\n\n"
            await anyio.lowlevel.checkpoint()

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await StreamingResponse(endless(), media_type="text/event-stream")(scope, receive, send)

    # A server of 2.3 says that the client left by a message, one of 2.4 by refusing the next chunk.
    told = spec_version == "2.3"
    server = Server(*([{"type": "http.disconnect"}] if told else []), broken_after=None if told else 4)
    raised: Exception | None = None
    try:
        run(worker.wrap(app), server, asgi={"version": "3.0", "spec_version": spec_version})
    except (ClientDisconnect, ExceptionGroup) as error:
        # A Starlette that knows nothing of 2.4 lets the server's own error out, in a group.
        raised = error

    assert (raised is None) == told
    assert worker.record.ending == Ending.DISCONNECTED
    assert worker.record.status == (200 if not told or server.sent else 499)


def test_an_endless_stream_that_ignores_the_disconnect_is_recorded_once(worker: Worker):
    """A5: and it must not be recorded again with every chunk."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})

    run(worker.wrap(app), Server({"type": "http.disconnect"}))

    assert worker.record.ending == Ending.DISCONNECTED


def test_a_cancelled_request_is_recorded_as_disconnected_and_stays_cancelled(worker: Worker):
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        started.set()
        await receive()

    async def main() -> None:
        server = Server()
        request = asyncio.create_task(worker.wrap(app)(scope(), server.receive, server.send))
        await started.wait()
        request.cancel()
        await request

    started = asyncio.Event()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert (worker.record.ending, worker.record.error) == (Ending.DISCONNECTED, None)


def test_an_upload_reaches_the_application_part_by_part_as_it_comes(worker: Worker):
    """A7: five parts reached the application as one, after the last."""
    parts: list[Message] = [
        {"type": "http.request", "body": bytes([65 + n]) * 1000, "more_body": n < 4} for n in range(5)
    ]
    asked_for: list[int] = []
    got: list[Message] = []

    class Slow(Server):
        async def receive(self) -> Message:
            asked_for.append(len(got))
            return await super().receive()

    async def app(scope: Message, receive: Any, send: Any) -> None:
        while not got or got[-1]["more_body"]:
            got.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    run(worker.wrap(app), Slow(*parts), method="POST")

    assert all(given is part for given, part in zip(got, parts, strict=True))
    assert asked_for == [0, 1, 2, 3, 4]
    assert worker.record.request_body == b"".join(part["body"] for part in parts)


def test_a_body_of_fifty_megabytes_costs_no_more_memory_than_the_cap(worker: Worker):
    """A7: a 2 GB upload took 2 GB of memory."""
    chunk, count = bytes(64 * 1024), 800

    class Uploading(Server):
        left = count

        async def receive(self) -> Message:
            self.left -= 1
            return {"type": "http.request", "body": bytes(chunk), "more_body": self.left > 0}

        async def send(self, message: Message) -> None:
            pass

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"][:-1], "more_body": more})

    watched = worker.wrap(app, MAX_BODY_SIZE=100_000)
    tracemalloc.start()
    try:
        run(watched, Uploading())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert worker.record.request_body_size == count * len(chunk)
    assert len(worker.record.request_body or b"") == 100_000
    assert peak < 3_000_000


def test_the_responses_time_is_that_of_its_last_byte(worker: Worker):
    """A11: a slow stream was recorded as a millisecond."""
    pause_s = 0.05
    moments: list[float] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for more in (True, True, False):
            await asyncio.sleep(pause_s)
            await send({"type": "http.response.body", "body": b"x", "more_body": more})
        moments.append(time.time())
        await asyncio.sleep(2 * pause_s)

    begun = time.time()
    run(worker.wrap(app), Server())

    assert begun <= worker.record.started_at
    assert worker.record.ended_at - worker.record.started_at >= 3 * pause_s
    assert worker.record.ended_at <= moments[0]


def test_the_event_leaves_before_background_tasks_run(worker: Worker):
    """A18: what the application does after its response is no part of the exchange."""
    seen: list[int] = []
    app = FastAPI()

    def background() -> None:
        seen.append(len(worker.records))
        raise RuntimeError("in a background task")

    @app.get("/")
    async def index(tasks: BackgroundTasks) -> None:
        tasks.add_task(background)

    app.add_middleware(MoesifMiddleware, settings=worker.settings)
    response = asked(app, "GET", "/")

    assert seen == [1]
    assert response.status_code == 200
    assert (worker.record.status, worker.record.ending) == (200, Ending.COMPLETE)


@pytest.mark.parametrize("kind", ["websocket", "webtransport", "something.new"])
def test_scopes_other_than_http_pass_untouched(worker: Worker, kind: str):
    got: list[Any] = []

    async def app(*given: Any) -> None:
        got.extend(given)

    server, given = Server(), scope(type=kind)
    receive, send = server.receive, server.send
    asyncio.run(worker.wrap(app)(given, receive, send))

    assert got[0] is given
    assert got[1] is receive
    assert got[2] is send
    assert worker.counted(captured=0)


def test_the_application_gets_the_scope_of_the_server(worker: Worker):
    got: list[Message] = []
    given = scope()
    before = dict(given)

    async def app(scope: Message, receive: Any, send: Any) -> None:
        got.append(scope)

    asyncio.run(worker.wrap(app)(given, Server().receive, Server().send))

    assert got[0] is given
    assert given == before


def test_context_variables_are_seen_across_the_middleware(worker: Worker):
    """A18: BaseHTTPMiddleware runs the application in another context."""
    outer: contextvars.ContextVar[str] = contextvars.ContextVar("outer")
    inner: contextvars.ContextVar[str] = contextvars.ContextVar("inner")
    seen: list[str] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        seen.append(outer.get())
        inner.set("from inside")
        await PlainTextResponse("x")(scope, receive, send)

    async def main() -> None:
        outer.set("from outside")
        server = Server()
        await worker.wrap(app)(scope(), server.receive, server.send)
        seen.append(inner.get())

    asyncio.run(main())

    assert seen == ["from outside", "from inside"]


def test_a_mounted_application_is_recorded_under_its_whole_path(worker: Worker):
    inner = Starlette(routes=[Route("/users", lambda request: PlainTextResponse("x"))])
    app = Starlette(routes=[Mount("/api", inner)])
    asked(worker.wrap(app), "GET", "/api/users")

    assert (worker.record.path, worker.record.root_path) == ("/api/users", "")


def test_a_middleware_inside_that_rewrites_the_scope_does_not_change_the_record(worker: Worker):
    async def rewritten(scope: Message, receive: Any, send: Any) -> None:
        scope["headers"].append((b"authorization", b"Bearer internal"))
        scope |= {"path": "/new", "raw_path": b"/new", "query_string": b"added=internal", "scheme": "https"}
        await PlainTextResponse("x")(scope, receive, send)

    run(worker.wrap(rewritten), Server(), path="/old", raw_path=b"/old", query_string=b"a=1")

    record = worker.record
    assert (record.path, record.raw_path, record.query_string) == ("/old", b"/old", b"a=1")
    assert (record.scheme, record.request_headers) == ("http", [[b"host", b"example.org"]])


def test_a_middleware_outside_that_changes_messages_does_not_change_the_record(worker: Worker):
    """It is not the application's answer that it sends, and the list of headers is shared."""

    def footed(inner: App) -> App:
        async def app(scope: Message, receive: Any, send: Any) -> None:
            async def with_footer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"].append((b"content-encoding", b"gzip"))
                    await send(message)
                    return
                message |= {"body": b"<p>", "more_body": True}
                await send(message)
                await send({"type": "http.response.body", "body": b"footer"})

            await inner(scope, receive, with_footer)

        return app

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"1")]})
        await send({"type": "http.response.body", "body": b"own"})

    sent = run(footed(worker.wrap(app)), Server())

    assert [message.get("body") for message in sent] == [None, b"<p>", b"footer"]
    assert (worker.record.ending, worker.record.response_body) == (Ending.COMPLETE, b"own")
    assert [name for name, _ in worker.record.response_headers] == [b"a", HEADER.encode()]


def test_what_the_server_refuses_is_not_recorded_as_sent(worker: Worker):
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"taken", "more_body": True})
        await send({"type": "http.response.body", "body": b"refused"})

    with pytest.raises(ConnectionResetError):
        run(worker.wrap(app), Server(broken_after=2))

    assert (worker.record.ending, worker.record.response_body) == (Ending.DISCONNECTED, b"taken")


def test_an_event_that_is_too_large_leaves_no_buffer_of_its_size_behind(worker: Worker):
    """A packer keeps what it once needed, and a thread keeps its packer."""
    mib = 1024 * 1024
    app = worker.wrap(PlainTextResponse("x"))
    run(app, Server())
    tracemalloc.start()
    try:
        run(app, Server(), raw_path=b"y" * 16 * mib)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak > 16 * mib
    assert held < mib
    assert worker.counted(captured=2, dropped__too_large=1)


@pytest.mark.parametrize(
    ("settings", "method", "path", "skipped"),
    [
        ({"EXCLUDE_METHODS": ["OPTIONS"]}, "OPTIONS", "/", True),
        ({"EXCLUDE_METHODS": ["OPTIONS"]}, "GET", "/", False),
        ({"EXCLUDE_PATHS": ["/health*"]}, "GET", "/healthz", True),
        ({"EXCLUDE_PATHS": ["/health*"]}, "GET", "/items", False),
        ({"EXCLUDE_PATHS": ["/health"]}, "GET", "/healthz", False),
    ],
)
def test_what_is_excluded_is_served_and_counted_as_skipped(
    worker: Worker, settings: dict[str, Any], method: str, path: str, skipped: bool
):
    sent = run(worker.wrap(PlainTextResponse("x"), **settings), Server(), method=method, path=path)

    assert sent[1]["body"] == b"x"
    assert worker.counted(captured=1, skipped=int(skipped))
    assert len(worker.records) == int(not skipped)


def test_a_sample_rate_keeps_its_share_and_counts_the_rest(worker: Worker):
    app = worker.wrap(PlainTextResponse("x"), SAMPLE_RATE=30)
    for _ in range(300):
        run(app, Server())

    kept = len(worker.records)
    assert 45 <= kept <= 145  # Six standard deviations around 90.
    assert worker.counted(captured=300, sampled_out=300 - kept)
    assert {record.weight for record in worker.records} == {3, 4}


def test_a_rate_of_nothing_records_nothing(worker: Worker):
    app = worker.wrap(PlainTextResponse("x"), SAMPLE_RATE=0)
    for _ in range(50):
        run(app, Server())

    assert worker.counted(captured=50, sampled_out=50)


@pytest.mark.parametrize(
    ("settings", "request_body", "response_body"),
    [
        ({"LOG_BODY": False}, None, None),
        ({"LOG_REQUEST_BODY": False}, None, b"out"),
        ({"LOG_RESPONSE_BODY": False}, b"in", None),
        ({"MAX_BODY_SIZE": 1}, b"i", b"o"),
        ({"LOG_CONTENT_TYPES": ["text/*"]}, None, b"out"),
        ({"LOG_CONTENT_TYPES": ["application/json"]}, b"in", None),
        ({"LOG_CONTENT_TYPES": ["application/*", "text/plain"]}, b"in", b"out"),
        ({"LOG_CONTENT_TYPES": ["text/*"], "LOG_BODY": False}, None, None),
    ],
)
def test_bodies_are_recorded_as_the_settings_say(
    worker: Worker, settings: dict[str, Any], request_body: bytes | None, response_body: bytes | None
):
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        await PlainTextResponse("out")(scope, receive, send)

    declared = [(b"content-type", b"application/json; charset=utf-8")]
    server = Server({"type": "http.request", "body": b"in"})
    run(worker.wrap(app, **settings), server, method="POST", headers=declared)

    assert (worker.record.request_body, worker.record.response_body) == (request_body, response_body)
    assert (worker.record.request_body_size, worker.record.response_body_size) == (2, 3)


def test_a_request_that_cannot_be_judged_is_served_and_counted(worker: Worker):
    sent = run(worker.wrap(PlainTextResponse("x"), EXCLUDE_PATHS=["/health"]), Server(), path=5)

    assert sent[1]["body"] == b"x"
    assert worker.counted(captured=1, dropped__internal_error=1)


class BrokenChannel(MemoryChannel):
    """A channel with a fault of ours in it."""

    def offer(self, kind: int, key: int, payload: bytes) -> Offer:
        raise ZeroDivisionError


def test_a_fault_in_recording_never_reaches_the_client_and_is_counted(worker: Worker):
    app = worker.wrap(PlainTextResponse("x"))
    channel = BrokenChannel()
    app._recorder = Recorder(Settings.load(worker.settings, {}), channel)

    assert run(app, Server())[1]["body"] == b"x"
    assert channel.counters.snapshot()["dropped.internal_error"] == 1
    assert channel.counters.difference(0, 0) == 0


@pytest.mark.parametrize(
    ("absurd", "fate"),
    [
        ({"client": 5}, "dropped__internal_error"),
        ({"headers": 5}, "dropped__internal_error"),
        ({"server": ...}, "dropped__internal_error"),
        ({"method": ...}, "dropped__unserialisable"),
        ({"query_string": 2**80}, "dropped__unserialisable"),
        ({"headers": [[[[b"deep"]]]] * 3}, "captured"),
        ({"path": "/\ud800"}, "captured"),
    ],
    ids=repr,
)
def test_a_scope_of_absurd_values_costs_at_most_its_event(worker: Worker, absurd: dict[str, Any], fate: str):
    """T11: nothing in a request may change a response."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await PlainTextResponse("x")({"type": "http"}, receive, send)

    watched = worker.wrap(app)
    assert run(watched, Server(), **absurd)[1]["body"] == b"x"
    assert worker.counted(**{"captured": 1, fate: 1})

    run(watched, Server())
    assert len(worker.records) == (2 if fate == "captured" else 1)
    assert worker.records[-1].response_body == b"x"


GARBAGE: list[Any] = [
    None,
    5,
    "http.response.start",
    [],
    {},
    {"type": "http.response.start", "status": 200, "headers": 5},
    {"type": "http.response.body", "body": "text"},
    {"type": "http.response.body", "body": 5},
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_message_that_is_none_reaches_the_other_side_as_it_is(worker: Worker, garbage: Any):
    got: list[Any] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        got.append(await receive())
        await send(garbage)
        await PlainTextResponse("x")({"type": "http"}, receive, send)

    server = Server()
    server._messages = [garbage]
    sent = run(worker.wrap(app), server)

    assert got[0] is garbage
    assert sent[0] is garbage
    assert sent[-1]["body"] == b"x"
    assert worker.counted(captured=1)


def test_two_middlewares_around_one_application_both_record(worker: Worker):
    inner = worker.wrap(PlainTextResponse("x"))
    outer = worker.wrap(inner, APPLICATION_ID="the-other-app")
    sent = run(outer, Server())

    ids = [value.decode() for name, value in sent[0]["headers"] if name == HEADER.encode()]
    # The inner one sends first and is done last, when the server has taken what the outer one passed on.
    assert [event.key for event in worker.channel.events] == [1, 0]
    assert ids == [worker.records[1].transaction_id]


def test_without_an_application_it_serves_updates_only(worker: Worker):
    with pytest.raises(TypeError, match="without an application"):
        run(worker.wrap(None), Server())


def test_wrong_settings_are_said_at_once_where_a_person_sees_them():
    with pytest.raises(SettingsError, match="APPLICATION_ID"):
        MoesifMiddleware(PlainTextResponse("x"), settings={})


def test_wrong_settings_in_an_applications_own_start_up_are_said_there():
    """A person's code again, though a server runs it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        MoesifMiddleware(None, settings={})
        yield

    async def life() -> list[Message]:
        server = Server({"type": "lifespan.startup"})
        with pytest.raises(SettingsError, match="APPLICATION_ID"):
            await Starlette(lifespan=lifespan)({"type": "lifespan"}, server.receive, server.send)
        return server.sent

    assert [message["type"] for message in asyncio.run(life())] == ["lifespan.startup.failed"]


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_wrong_settings_that_a_server_meets_keep_it_from_starting_and_break_no_response(framework: Any):
    """Starlette builds its middlewares with the first message: raising there would break each request.

    Run with the oldest Starlette too: it notices if one of them comes to build them another way.
    """

    async def life() -> tuple[list[Message], list[Message]]:
        starting, serving = Server({"type": "lifespan.startup"}), Server()
        app = framework(routes=[Mount("/", PlainTextResponse("x"))])
        app.add_middleware(MoesifMiddleware, settings={})
        await app({"type": "lifespan"}, starting.receive, starting.send)
        await app(scope(), serving.receive, serving.send)
        return starting.sent, serving.sent

    started, served = asyncio.run(life())

    assert [message["type"] for message in started] == ["lifespan.startup.failed"]
    assert "APPLICATION_ID" in started[0]["message"]
    assert served[1]["body"] == b"x"

"""The user's functions: what may be one, what it gets, and what becomes of its answer."""

import asyncio
import contextvars
import datetime
import functools
import logging
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anyio.lowlevel
import pytest
from fastapi import FastAPI, Request
from lab.one_worker import BACKENDS, Backend, OneWorker, asked
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.background import BackgroundTask
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, Router

from moesifasgi.hooks import MAX_ID_CHARACTERS, MAX_METADATA_BYTES

HELLO = PlainTextResponse("hello")
HOOKS = ("SKIP", "IDENTIFY_USER", "IDENTIFY_COMPANY", "GET_METADATA", "GET_SESSION_TOKEN")
ANSWERS = {
    "IDENTIFY_USER": ("user_id", "u"),
    "IDENTIFY_COMPANY": ("company_id", "c"),
    "GET_SESSION_TOKEN": ("session_token", "s"),
    "GET_METADATA": ("metadata", {"m": 1}),
}


def identify(request: Request, response: Response) -> str:
    return f"{request.method} {response.status_code}"


async def identify_later(request: Request, response: Response) -> str:
    return identify(request, response)


class Identifier:
    def method(self, request: Request, response: Response) -> str:
        return identify(request, response)

    async def later(self, request: Request, response: Response) -> str:
        return identify(request, response)


class Synchronous(Identifier):
    __call__ = Identifier.method

    def __bool__(self) -> bool:
        return False


class Asynchronous(Identifier):
    __call__ = Identifier.later


class Answer:
    """An awaitable that is neither a coroutine nor a future."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __await__(self) -> Any:
        return identify_later(*self._arguments).__await__()


CALLABLES: dict[str, Callable[..., Any]] = {
    "function": identify,
    "coroutine function": identify_later,
    "lambda": lambda request, response: identify(request, response),
    "lambda that makes a coroutine": lambda request, response: identify_later(request, response),
    "partial": functools.partial(identify),
    "partial coroutine function": functools.partial(identify_later),
    "partial of a partial": functools.partial(functools.partial(identify_later)),
    "method": Identifier().method,
    "coroutine method": Identifier().later,
    "object": Synchronous(),
    "object with a coroutine call": Asynchronous(),
    "class of awaitables": Answer,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", CALLABLES.values(), ids=CALLABLES)
def test_any_callable_may_be_a_hook(worker: OneWorker, function: Callable[..., Any], backend: Backend):
    response = asked(worker.wrap(HELLO, IDENTIFY_USER=function), "PUT", "/", backend)

    assert response.text == "hello"
    assert worker.event["user_id"] == "PUT 200"


@pytest.mark.parametrize("later", [False, True])
def test_every_hook_fills_its_field(worker: OneWorker, later: bool):
    def answering(value: Any) -> Callable[..., Any]:
        async def answer_later(request: Request, response: Response) -> Any:
            return value

        return answer_later if later else lambda request, response: value

    hooks = {key: answering(value) for key, (_, value) in ANSWERS.items()}
    asked(worker.wrap(HELLO, SKIP=answering(None), **hooks), "GET", "/")

    assert {field: worker.event[field] for field, _ in ANSWERS.values()} == dict(ANSWERS.values())


@pytest.mark.parametrize("later", [False, True])
def test_what_is_skipped_is_counted_and_no_other_function_sees_it(worker: OneWorker, later: bool):
    async def skip_later(request: Request, response: Response) -> bool:
        return True

    called: list[Any] = []
    skip = skip_later if later else lambda request, response: "truthy"
    app = worker.wrap(HELLO, SKIP=skip, IDENTIFY_USER=lambda *pair: called.append(pair))
    response = asked(app, "GET", "/")

    assert response.text == "hello"
    assert (worker.events, called) == ([], [])
    assert (worker.counted("captured"), worker.counted("skipped")) == (1, 1)


class Bearer(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> tuple[AuthCredentials, SimpleUser]:
        return AuthCredentials(["authenticated"]), SimpleUser("ann")


def test_hooks_get_starlettes_own_request_and_response(worker: OneWorker):
    seen: list[tuple[Request, Response]] = []
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(request: Request, number: int) -> JSONResponse:
        request.state.tenant = "acme"
        return JSONResponse({"n": number}, 201, {"X-Own": "1"})

    app.add_middleware(AuthenticationMiddleware, backend=Bearer())
    asked(
        worker.wrap(app, IDENTIFY_USER=lambda *pair: seen.append(pair)),
        "GET",
        "/items/7?a=b",
        headers={"x-user": "ann", "cookie": "c=1"},
    )

    ((request, response),) = seen
    assert type(request).__module__ == "starlette.requests"
    assert isinstance(response, Response)
    assert request.state.tenant == "acme"
    assert request.user.username == "ann"
    assert request.path_params == {"number": "7"}
    assert (request.headers["X-User"], request.cookies, request.query_params["a"]) == ("ann", {"c": "1"}, "b")
    assert request.url._url == "http://example.org/items/7?a=b"
    assert request.client is not None
    assert (response.status_code, response.headers["x-own"], response.body) == (201, "1", b'{"n":7}')


def test_a_mounted_applications_request_has_the_whole_url(worker: OneWorker):
    urls: list[str] = []
    app = Router([Mount("/api", Router([Route("/users", lambda request: HELLO)]))])
    asked(
        worker.wrap(app, IDENTIFY_USER=lambda request, response: urls.append(request.url._url)),
        "GET",
        "/api/users",
    )

    assert urls == ["http://example.org/api/users"]


@pytest.mark.parametrize("status", [200, 404, 204])
def test_what_a_hook_does_to_its_objects_does_not_reach_the_live_ones(worker: OneWorker, status: int):
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response(b"x" if status != 204 else None, status, {"a": "1"})(scope, receive, send)
        scopes.append((scope["path"], list(scope["headers"]), scope.get("extra")))

    def vandal(request: Request, response: Response) -> str:
        response.status_code = 500
        response.headers["a"] = "2"
        response.body = b"y"
        request.scope["path"] = "/other"
        request.scope["extra"] = 1
        request.headers.raw.clear()
        return "ann"

    response = asked(worker.wrap(app, IDENTIFY_USER=vandal), "GET", "/path")

    assert (response.status_code, response.headers["a"]) == (status, "1")
    assert scopes[0][0] == "/path"
    assert scopes[0][1]
    assert scopes[0][2] is None
    assert worker.event["response"]["headers"]["a"] == "1"
    assert worker.event["request"]["headers"]["host"] == "example.org"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = await Request(scope, receive).body()
    await Response(body)(scope, receive, send)


async def ignores_the_body(scope: Any, receive: Any, send: Any) -> None:
    await HELLO(scope, receive, send)


async def body(request: Request, response: Response) -> str:
    return (await request.body()).decode()


async def name_in_json(request: Request, response: Response) -> str:
    return (await request.json())["name"]


async def name_in_form(request: Request, response: Response) -> str:
    async with request.form() as form:
        return form["name"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("hook", "sent", "found"),
    [
        (body, {"content": b"ann"}, "ann"),
        (name_in_json, {"json": {"name": "ann"}}, "ann"),
        (name_in_form, {"data": {"name": "ann"}}, "ann"),
        (name_in_form, {"data": {"name": "ann"}, "files": {"file": b"x"}}, "ann"),
        (body, {}, None),
    ],
)
def test_a_hook_reads_the_body_that_was_captured(
    worker: OneWorker, hook: Any, sent: dict[str, Any], found: str | None, backend: Backend
):
    asked(worker.wrap(echo, IDENTIFY_USER=hook), "POST", "/", backend, **sent)

    assert worker.event.get("user_id") == found
    assert worker.counted("hook_failed") == 0


@pytest.mark.parametrize(
    ("app", "settings"),
    [
        (echo, {"MAX_BODY_SIZE": 10}),
        (ignores_the_body, {}),
        (echo, {"LOG_BODY": False}),
        (echo, {"LOG_REQUEST_BODY": False}),
    ],
    ids=["cut", "unread", "unlogged", "unlogged request"],
)
def test_half_a_body_is_never_given_for_the_whole(worker: OneWorker, app: Any, settings: dict[str, Any]):
    """``name=ann-marie`` cut after 8 bytes would be another user."""
    asked(worker.wrap(app, IDENTIFY_USER=name_in_form, **settings), "POST", "/", data={"name": "ann-marie"})

    assert "user_id" not in worker.event
    assert worker.counted("hook_failed") == 1


def test_the_part_of_a_body_that_there_is_can_be_streamed(worker: OneWorker):
    async def streamed(request: Request, response: Response) -> dict[str, Any]:
        parts = []
        try:
            async for part in request.stream():
                parts.append(part.decode())
        except ClientDisconnect:
            parts.append("...")
        return {"parts": parts}

    asked(worker.wrap(echo, GET_METADATA=streamed, MAX_BODY_SIZE=4), "POST", "/", content=b"123456")

    assert worker.event["metadata"]["parts"] == ["1234", "..."]


def test_a_response_body_is_as_much_as_was_kept(worker: OneWorker):
    bodies: list[bytes] = []

    def hook(request: Request, response: Response) -> None:
        bodies.append(response.body)

    asked(worker.wrap(echo, IDENTIFY_USER=hook, MAX_BODY_SIZE=4), "POST", "/", content=b"123456")
    asked(worker.wrap(echo, IDENTIFY_USER=hook, LOG_BODY=False), "POST", "/", content=b"123456")

    assert bodies == [b"1234", b""]


AN_UUID = uuid.UUID(int=5)


@pytest.mark.parametrize(
    ("answer", "stored"),
    [
        ("ann", "ann"),
        (12, "12"),
        (10**30, "1" + "0" * 30),
        (AN_UUID, str(AN_UUID)),
        (Decimal("5"), "5"),
        (b"ann", "ann"),
        ("\ud800x", "\ufffdx"),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("key", ["IDENTIFY_USER", "IDENTIFY_COMPANY", "GET_SESSION_TOKEN"])
def test_ids_become_text(worker: OneWorker, key: str, answer: Any, stored: str | None):
    """A20: a user's rate under "12" was not found for the id 12."""
    asked(worker.wrap(HELLO, **{key: lambda request, response: answer}), "GET", "/")

    assert worker.event.get(ANSWERS[key][0]) == stored
    assert worker.counted("hook_failed") == 0


@pytest.mark.parametrize(
    "answer", [True, ["ann"], {"id": 1}, object(), "x" * (MAX_ID_CHARACTERS + 1), float("nan")]
)
def test_what_can_be_no_id_is_a_failure_of_the_function(worker: OneWorker, answer: Any):
    asked(worker.wrap(HELLO, IDENTIFY_USER=lambda request, response: answer), "GET", "/")

    assert "user_id" not in worker.event
    assert worker.counted("hook_failed") == 1


def test_metadata_that_json_cannot_hold_is_converted_or_left_out_field_by_field(worker: OneWorker):
    """A10: one datetime in the metadata cost the whole batch."""
    circle: list[Any] = []
    circle.append(circle)
    metadata = {
        "at": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
        "price": Decimal("1.5"),
        "set": {1},
        "nan": float("nan"),
        "object": object(),
        "circle": circle,
        5: "five",
        "kept": [1, {"a": None}],
    }
    asked(worker.wrap(HELLO, GET_METADATA=lambda request, response: metadata), "GET", "/")

    assert worker.event["metadata"] == {
        "at": "2024-01-02T00:00:00+00:00",
        "price": "1.5",
        "set": [1],
        "nan": None,
        "circle": [None],
        "5": "five",
        "kept": [1, {"a": None}],
    }


def test_metadata_has_a_limit_that_costs_only_the_fields_above_it(worker: OneWorker):
    metadata = {"small": 1, "huge": "x" * MAX_METADATA_BYTES, "last": 2}
    asked(worker.wrap(HELLO, GET_METADATA=lambda request, response: metadata), "GET", "/")

    assert worker.event["metadata"] == {"small": 1, "last": 2}


class Explosive(dict):
    def items(self) -> Any:
        raise RuntimeError("on fire")


@pytest.mark.parametrize("answer", ["text", 5, ["a"], Explosive(a=1)], ids=repr)
def test_metadata_that_is_no_map_is_a_failure_of_the_function(worker: OneWorker, answer: Any):
    asked(worker.wrap(HELLO, GET_METADATA=lambda request, response: answer), "GET", "/")

    assert "metadata" not in worker.event
    assert worker.counted("hook_failed") == 1


def fails(request: Request, response: Response) -> Any:
    raise RuntimeError("a secret of the request")


async def fails_later(request: Request, response: Response) -> Any:
    raise RuntimeError("a secret of the request")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("failing", [fails, fails_later, lambda: None])
@pytest.mark.parametrize("key", HOOKS)
def test_a_hook_that_fails_leaves_its_field_empty_and_nothing_else(
    worker: OneWorker, key: str, failing: Any, backend: Backend, caplog: pytest.LogCaptureFixture
):
    hooks = {other: lambda request, response, value=value: value for other, (_, value) in ANSWERS.items()}
    response = asked(worker.wrap(HELLO, **{**hooks, key: failing}), "GET", "/", backend)

    assert response.text == "hello"
    fields = {field: value for other, (field, value) in ANSWERS.items() if other != key}
    assert {
        name: worker.event.get(name) for name in ("user_id", "company_id", "session_token", "metadata")
    } == {
        **dict.fromkeys(("user_id", "company_id", "session_token", "metadata")),
        **fields,
    }
    assert worker.counted("hook_failed") == 1
    assert "a secret" not in caplog.text


def test_a_failure_is_said_once_a_minute_with_its_place_and_nothing_of_the_request(
    worker: OneWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    from moesifasgi import quiet, user_function

    monkeypatch.setattr(user_function, "say", quiet.Quiet(quiet.logger).say)
    app = worker.wrap(HELLO, IDENTIFY_COMPANY=fails)
    for _ in range(20):
        asked(app, "GET", "/?token=secret-of-the-query")

    (line,) = [record for record in caplog.records if record.name == "moesifasgi"]
    assert line.levelno == logging.WARNING
    assert "IDENTIFY_COMPANY failed: RuntimeError at" in line.getMessage()
    assert f"{__name__.rpartition('.')[2]}.py" in line.getMessage()
    assert "secret" not in caplog.text
    assert worker.counted("hook_failed") == 20


JWT = "Bearer e30.eyJzdWIiOiJhbm4ifQ.x"


@pytest.mark.parametrize(
    ("hook", "user"), [(fails, None), (lambda *pair: None, "ann"), (lambda *pair: "bob", "bob")]
)
def test_the_authorization_header_is_asked_only_where_the_function_says_nobody(
    worker: OneWorker, hook: Any, user: str | None
):
    """Where it failed, a label from elsewhere may be of another kind: one person would become two."""
    asked(worker.wrap(HELLO, IDENTIFY_USER=hook), "GET", "/", headers={"authorization": JWT})

    assert worker.event.get("user_id") == user


def test_hooks_run_for_a_request_that_failed(worker: OneWorker):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a secret")

    asked(worker.wrap(broken, IDENTIFY_USER=identify_later), "GET", "/")

    assert worker.event["user_id"] == "GET 500"
    assert worker.event["metadata"]["moesif"]["error"] == "RuntimeError"


def test_a_hook_runs_once_and_after_the_last_byte_of_the_response(worker: OneWorker):
    order: list[str] = []

    def hook(request: Request, response: Response) -> None:
        order.append("hook")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await HELLO(scope, receive, send)
        order.append("after the response")

    async def server_send(message: Any) -> None:
        order.append(message["type"])

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        async def tapped(message: Any) -> None:
            await server_send(message)
            await send(message)

        await worker.wrap(app, IDENTIFY_USER=hook)(scope, receive, tapped)

    asked(noting, "GET", "/")

    assert order == ["http.response.start", "http.response.body", "hook", "after the response"]


class Stop(BaseException):
    pass


ENDINGS = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), Stop("a secret"), GeneratorExit()]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("error", ENDINGS, ids=repr)
def test_what_ends_a_program_ends_neither_request_nor_event(
    worker: OneWorker, error: BaseException, later: bool, backend: Backend, caplog: pytest.LogCaptureFixture
):
    """``sys.exit()`` in a hook ended the server, or the application's background task."""

    def ends(request: Request, response: Response) -> str:
        raise error

    async def ends_later(request: Request, response: Response) -> str:
        await anyio.lowlevel.checkpoint()
        raise error

    ran: list[bool] = []
    hooks = {"IDENTIFY_USER": ends_later if later else ends, "IDENTIFY_COMPANY": lambda *pair: "c"}
    answer = PlainTextResponse("hello", background=BackgroundTask(lambda: ran.append(True)))
    asked(worker.wrap(answer, **hooks), "GET", "/", backend)

    assert ran == [True]
    assert (worker.event.get("user_id"), worker.event["company_id"]) == (None, "c")
    assert worker.counted("hook_failed") == 1
    assert "a secret" not in caplog.text
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_what_a_hook_does_to_state_parameters_and_headers_stays_with_it(worker: OneWorker):
    left: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(state={"user": "ann"}, path_params={"a": 1}, session={"s": 1})
        headers = list(scope["headers"])
        await HELLO(scope, receive, send)
        left.extend([scope["state"], scope["path_params"], scope["session"], scope["headers"] == headers])

    def vandal(request: Request, response: Response) -> str:
        request.state.user = "bob"
        request.path_params["z"] = 1
        request.session.clear()
        request.headers.raw.clear()
        response.headers["x-own"] = "1"
        return "u"

    def next_one(request: Request, response: Response) -> dict[str, Any]:
        return {"user": request.state.user, "own": response.headers.get("x-own"), "n": len(request.headers)}

    asked(worker.wrap(app, IDENTIFY_USER=vandal, GET_METADATA=next_one), "GET", "/", headers={"a": "b"})

    assert left == [{"user": "ann"}, {"a": 1}, {"s": 1}, True]
    metadata = worker.event["metadata"]
    assert (metadata["user"], metadata["own"]) == ("ann", None)
    assert metadata["n"] > 0


def test_a_body_that_one_hook_streamed_is_there_for_the_next(worker: OneWorker):
    async def streams(request: Request, response: Response) -> str:
        return b"".join([part async for part in request.stream()]).decode()

    asked(worker.wrap(echo, IDENTIFY_USER=streams, IDENTIFY_COMPANY=streams), "POST", "/", content=b"ann")

    assert (worker.event["user_id"], worker.event["company_id"]) == ("ann", "ann")


def test_a_context_variable_that_a_hook_sets_is_not_the_applications(worker: OneWorker):
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="none")
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await HELLO(scope, receive, send)
        seen.append(tenant.get())

    def sets(request: Request, response: Response) -> None:
        tenant.set("the hook's")

    asked(worker.wrap(app, IDENTIFY_USER=sets), "GET", "/")

    assert seen == ["none"]


def yields(request: Request, response: Response) -> Any:
    yield False


async def yields_later(request: Request, response: Response) -> Any:
    yield False


@pytest.mark.parametrize("function", [yields, yields_later])
def test_a_generator_is_no_answer_and_skips_nothing(worker: OneWorker, function: Any):
    asked(worker.wrap(HELLO, SKIP=function), "GET", "/")

    assert len(worker.events) == 1
    assert worker.counted("hook_failed") == 1

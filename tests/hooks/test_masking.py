"""Masks in the worker: what they see, what leaves, and that nothing leaves where they fail."""

import base64
import gzip
import json
from typing import Any

import anyio
import pytest
from lab.one_worker import BACKENDS, Backend, OneWorker, asked
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from moesifasgi.errors import SettingsError
from moesifasgi.settings import Settings
from moesifasgi.wire.messages import Kind

SECRET = "s3cr3t-hunter2"


def mask(eventmodel: Any) -> Any:
    """The published example, for both bodies."""
    for message in (eventmodel.request, eventmodel.response):
        if "password" in message.body:
            message.body["password"] = None
    return eventmodel


async def mask_later(eventmodel: Any) -> Any:
    await anyio.sleep(0.001)
    return mask(eventmodel)


def answering(response: Response) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()
        await response(scope, receive, send)

    return app


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", [mask, mask_later])
def test_both_bodies_are_masked_and_the_live_ones_are_not(worker: OneWorker, function: Any, backend: Backend):
    """A1: the response's body was added after the mask had run."""
    seen: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await Request(scope, receive).body())
        await JSONResponse({"password": SECRET, "kept": 1})(scope, receive, send)

    response = asked(
        worker.wrap(app, MASK_EVENT_MODEL=function), "POST", "/", backend, json={"password": SECRET}
    )

    assert response.json() == {"password": SECRET, "kept": 1}
    assert json.loads(seen[0]) == {"password": SECRET}
    assert worker.event["request"]["body"] == {"password": None}
    assert worker.event["response"]["body"] == {"password": None, "kept": 1}
    assert SECRET.encode() not in worker.wire
    assert worker.event["transaction_id"] == response.headers["x-moesif-transaction-id"]
    assert worker.counted("withheld") == 0


def returns_nothing(eventmodel: Any) -> None:
    mask(eventmodel)


def raises(eventmodel: Any) -> Any:
    eventmodel.request.headers.clear()
    raise RuntimeError(SECRET)


async def hangs(eventmodel: Any) -> Any:
    await anyio.sleep(10)


def replaces(eventmodel: Any) -> Any:
    return {"request": {"body": SECRET}}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", [returns_nothing, raises, hangs, replaces])
def test_a_mask_that_fails_fails_closed(
    worker: OneWorker, function: Any, backend: Backend, caplog: pytest.LogCaptureFixture
):
    """A6: a mask that returned nothing turned the response into a 500."""
    app = worker.wrap(
        answering(JSONResponse({"a": SECRET}, headers={"x-own": SECRET})),
        MASK_EVENT_MODEL=function,
        GET_METADATA=lambda request, response: {"a": SECRET},
        GET_SESSION_TOKEN=lambda request, response: SECRET,
        IDENTIFY_USER=lambda request, response: "ann",
        HOOK_TIMEOUT=0.05,
    )
    response = asked(
        app, "POST", f"/path?a={SECRET}", backend, json={"b": SECRET}, headers={"authorization": SECRET}
    )

    assert (response.status_code, response.json()) == (200, {"a": SECRET})
    assert SECRET.encode() not in worker.wire
    event = worker.event
    assert (event["request"]["uri"], event["request"]["headers"]) == ("http://example.org/path", {})
    assert (event["response"]["status"], event["response"]["headers"]) == (200, {})
    assert (event["user_id"], event["metadata"]) == ("ann", {"moesif": {"withheld": True}})
    assert event["transaction_id"] == response.headers["x-moesif-transaction-id"]
    assert worker.counted("withheld") == 1
    assert SECRET not in caplog.text


def cut_json() -> Response:
    return JSONResponse({"a": "x" * 1000, "password": SECRET})


def damaged_gzip() -> Response:
    return Response(gzip.compress(SECRET.encode())[:-4], headers={"content-encoding": "gzip"})


def unknown_coding() -> Response:
    return Response(SECRET, headers={"content-encoding": "own"})


def broken_json() -> Response:
    return Response(f'{{"password": "{SECRET}"', media_type="application/json")


@pytest.mark.parametrize("response", [cut_json, damaged_gzip, unknown_coding, broken_json])
@pytest.mark.parametrize(
    "masks", [{"MASK_EVENT_MODEL": mask}, {"RESPONSE_BODY_MASKS": ["password"]}], ids=" ".join
)
def test_a_body_that_a_mask_cannot_look_into_is_withheld_and_the_rest_goes(
    worker: OneWorker, masks: Any, response: Any
):
    asked(worker.wrap(answering(response()), MAX_BODY_SIZE=500, **masks), "POST", "/?a=1", json={"b": 1})

    event = worker.event
    assert "body" not in event["response"]
    assert event["metadata"]["moesif"]["response_body"]["withheld"] is True
    assert event["request"]["body"] == {"b": 1}
    assert event["request"]["uri"] == "http://example.org/?a=1"
    assert worker.counted("withheld") == 1


def test_what_was_sent_of_a_stream_that_broke_off_is_withheld(worker: OneWorker):
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        part = f'{{"password": "{SECRET}", '.encode()
        await send({"type": "http.response.body", "body": part, "more_body": True})
        raise RuntimeError("in the middle")

    asked(worker.wrap(stream, MASK_EVENT_MODEL=mask), "GET", "/")

    assert "body" not in worker.event["response"]


def test_a_request_body_of_which_the_application_read_a_part_is_withheld(worker: OneWorker):
    async def impatient(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await PlainTextResponse("enough", 413)(scope, receive, send)

    async def upload() -> Any:
        yield f'{{"password": "{SECRET}", '.encode()
        yield b'"a": 1}'

    asked(worker.wrap(impatient, MASK_EVENT_MODEL=mask), "POST", "/", content=upload())

    assert "body" not in worker.event["request"]
    assert worker.event["response"]["body"] == "ZW5vdWdo"


@pytest.mark.parametrize(
    ("masks", "kind"),
    [
        ({}, Kind.RECORD),
        ({"IDENTIFY_USER": lambda *pair: "u"}, Kind.RECORD),
        ({"REQUEST_QUERY_MASKS": ["a"]}, Kind.EVENT),
        ({"MASK_EVENT_MODEL": mask}, Kind.EVENT),
    ],
)
def test_only_a_mask_makes_the_worker_build_the_event(worker: OneWorker, masks: Any, kind: Kind):
    asked(worker.wrap(PlainTextResponse("x"), **masks), "GET", "/")

    assert [event.kind for event in worker.channel.events] == [kind]


def test_masks_of_the_settings_have_the_last_word(worker: OneWorker):
    def adds(eventmodel: Any) -> Any:
        assert eventmodel.response.body == {"password": SECRET}, "the function sees what was captured"
        eventmodel.metadata = {"nested": [{"password": SECRET}]}
        eventmodel.request.body = ({"password": SECRET},)
        return eventmodel

    asked(
        worker.wrap(
            answering(JSONResponse({"password": SECRET})),
            MASK_EVENT_MODEL=adds,
            REQUEST_BODY_MASKS=["password"],
            RESPONSE_BODY_MASKS=["password"],
        ),
        "POST",
        "/",
    )

    assert SECRET.encode() not in worker.wire
    assert worker.event["request"]["body"] == [{"password": "***"}]


def test_who_it_was_and_where_from_is_found_before_the_headers_are_masked(worker: OneWorker):
    headers = {"authorization": "Bearer e30.eyJzdWIiOiJhbm4ifQ.x", "x-forwarded-for": "192.0.2.9"}
    masks = {"REQUEST_HEADER_MASKS": list(headers)}
    asked(worker.wrap(PlainTextResponse("x"), **masks), "GET", "/", headers=headers)

    request = worker.event["request"]
    assert (worker.event["user_id"], request["ip_address"]) == ("ann", "192.0.2.9")
    assert {name: request["headers"][name] for name in headers} == dict.fromkeys(headers, "***")


def test_the_order_is_capture_identity_hooks_masks_frame(worker: OneWorker):
    order: list[str] = []

    def noting(name: str, value: Any) -> Any:
        def hook(*pair: Any) -> Any:
            order.append(name)
            return value

        return hook

    def last(eventmodel: Any) -> Any:
        order.append("mask")
        assert (eventmodel.user_id, eventmodel.company_id) == ("5", "c")
        assert eventmodel.request.ip_address == "192.0.2.9"
        assert eventmodel.metadata == {"password": SECRET}
        assert worker.channel.events == []
        eventmodel.user_id = "masked"
        return eventmodel

    app = worker.wrap(
        PlainTextResponse("x"),
        SKIP=noting("skip", False),
        IDENTIFY_USER=noting("user", 5),
        IDENTIFY_COMPANY=noting("company", "c"),
        GET_SESSION_TOKEN=noting("session", "s"),
        GET_METADATA=noting("metadata", {"password": SECRET}),
        MASK_EVENT_MODEL=last,
        REQUEST_BODY_MASKS=["password"],
    )
    asked(app, "GET", "/", headers={"x-forwarded-for": "192.0.2.9"})

    assert order == ["skip", "user", "company", "session", "metadata", "mask"]
    assert worker.event["metadata"] == {"password": "***"}
    assert worker.event["user_id"] == "masked"


def example_settings(later: bool) -> dict[str, Any]:
    """The functions of the published README."""
    skip_route = "health/probe"

    async def custom_should_skip(request: Any) -> bool:
        return skip_route in request.url._url

    async def should_skip(request: Any, response: Any) -> bool:
        return await custom_should_skip(request)

    def should_skip_now(request: Any, response: Any) -> bool:
        return skip_route in request.url._url

    def custom_mask_event(eventmodel: Any) -> Any:
        if "password" in eventmodel.response.body:
            eventmodel.response.body["password"] = None
        return eventmodel

    async def mask_event(eventmodel: Any) -> Any:
        return custom_mask_event(eventmodel)

    return {
        "SKIP": should_skip if later else should_skip_now,
        "MASK_EVENT_MODEL": mask_event if later else custom_mask_event,
    }


async def chunks() -> Any:
    for part in (b'{"password"', b': "x", "a"', b": 1}"):
        yield part


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("response", "stored"),
    [
        (lambda: JSONResponse({"password": SECRET, "a": 1}), {"password": None, "a": 1}),
        (lambda: HTMLResponse("<p>password</p>"), "PHA+cGFzc3dvcmQ8L3A+"),
        (lambda: JSONResponse([1, {"a": 2}]), [1, {"a": 2}]),
        (lambda: JSONResponse(5), 5),
        (lambda: JSONResponse(True), True),
        (lambda: JSONResponse("text"), "text"),
        (lambda: JSONResponse(None), None),
        (lambda: Response(b""), None),
        (lambda: Response(status_code=204), None),
        (lambda: StreamingResponse(chunks(), media_type="application/json"), {"password": None, "a": 1}),
        (lambda: JSONResponse({"a": "x" * 1000}), None),
    ],
    ids=["json", "html", "list", "number", "true", "string", "null", "empty", "204", "streamed", "cut"],
)
def test_the_published_example_works_word_for_word(
    worker: OneWorker, later: bool, response: Any, stored: Any
):
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await response()(scope, receive, send)

    app = worker.wrap(application, MAX_BODY_SIZE=500, **example_settings(later))
    asked(app, "GET", "/health/probe")
    assert worker.events == []
    asked(app, "GET", "/path?a=1")

    assert worker.event["response"].get("body") == stored
    assert worker.event["request"]["uri"] == "http://example.org/path?a=1"
    assert worker.counted("hook_failed") == 0
    assert worker.counted("withheld") == int(stored is None and "cut_at_bytes" in str(worker.event))


def test_an_exchange_of_absurd_values_costs_its_event_and_no_more(worker: OneWorker):
    async def server(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "server": ("host", 80, "and more")}, receive, send)

    app = worker.wrap(PlainTextResponse("x"), REQUEST_QUERY_MASKS=["a"])
    assert asked(server, "GET", "/").text == "x"
    assert worker.counted("dropped.internal_error") == 1


@pytest.mark.parametrize(
    ("key", "mask"),
    [
        *(
            ("REQUEST_BODY_MASKS", mask)
            for mask in ("$.a", "*.a", "a[].b", "a.0.b", ".a", "a.", "a;b", " ", "a. b", "body.a")
        ),
        ("RESPONSE_BODY_MASKS", "response.body.a"),
        ("REQUEST_BODY_MASKS", "Request.Body.a"),
        *(("REQUEST_QUERY_MASKS", mask) for mask in ("$a", "a*", "a;b", ".a", "a.", " ")),
    ],
)
def test_a_mask_that_can_never_match_is_refused(key: str, mask: str):
    with pytest.raises(SettingsError, match=key):
        Settings.load({"APPLICATION_ID": "id", key: [mask]}, {})


def test_white_space_around_a_mask_does_not_count():
    given = {
        "APPLICATION_ID": "id",
        "REQUEST_BODY_MASKS": [" password", "body", "a.body.b"],
        "REQUEST_QUERY_MASKS": ["q "],
    }
    masks = Settings.load(given, {}).masks

    assert (masks.request_body, masks.request_query) == (("password", "body", "a.body.b"), ("q",))


def test_a_refused_body_mask_is_told_where_its_path_starts():
    with pytest.raises(SettingsError, match="start inside the body"):
        Settings.load({"APPLICATION_ID": "id", "REQUEST_BODY_MASKS": ["body.password"]}, {})


@pytest.mark.parametrize(
    "masks", [{"MASK_EVENT_MODEL": mask}, {"REQUEST_BODY_MASKS": ["password"]}], ids=" ".join
)
def test_a_body_with_too_many_values_is_withheld(worker: OneWorker, masks: Any):
    """1 kB of gzip held up the event loop for a second."""
    bomb = gzip.compress(b"[" + b"[]," * 333_000 + b"0]")
    asked(
        worker.wrap(answering(JSONResponse({"a": 1})), **masks),
        "POST",
        "/",
        content=bomb,
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )

    assert "body" not in worker.event["request"]
    note = {"undecoded": "too_large", "withheld": True}
    assert worker.event["metadata"]["moesif"]["request_body"] == note
    assert worker.event["response"]["body"] == {"a": 1}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", f'{{"password":"{SECRET}"}}\n{{"password":"{SECRET}"}}'),
        ("application/x-www-form-urlencoded", f"user[password]={SECRET}&password[]={SECRET}"),
        ("application/json", json.dumps(json.dumps({"password": SECRET}))),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: application/json\r\n\r\n"
            f'{{"password":"{SECRET}"}}\r\n--b--\r\n',
        ),
    ],
)
def test_no_form_of_a_body_shows_what_is_masked(worker: OneWorker, content_type: str, body: str):
    app = worker.wrap(answering(Response()), REQUEST_BODY_MASKS=["password"])
    asked(app, "POST", "/", content=body, headers={"content-type": content_type})

    assert worker.events
    assert SECRET.encode() not in worker.wire
    assert SECRET not in json.dumps(worker.event)
    assert base64.b64encode(b'{"password"').decode()[:12] not in json.dumps(worker.event)

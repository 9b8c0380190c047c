"""A body that a rule looks at is read before the application runs, which gets it as it came all the same."""

import asyncio
from typing import Any

import pytest
from lab.one_request import OneRequest, parts, scope
from lab.one_worker import OneWorker, asked
from lab.rules import blocking, rule
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from moesifasgi.enforcement import read_ahead

BODY_RULE = blocking("r1", ("request.body.kind", "^bad$"))
JSON_HEADERS = [(b"host", b"example.org"), (b"content-type", b"application/json")]


class Reading:
    """An application that keeps the messages that it is given, up to the end of the body."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.read_before: int | None = None
        self.server: OneRequest | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.read_before = self.server and len(self.server.messages)
        while not self.got or self.got[-1].get("more_body"):
            self.got.append(await receive())
        await PlainTextResponse("hello")(scope, receive, send)


def served(worker: OneWorker, push: Any, messages: list[Any], rules: Any = (BODY_RULE,), **more: Any) -> Any:
    app = Reading()
    watched = worker.wrap(app, **more.pop("settings", {}))
    push(rules=list(rules))
    app.server = OneRequest(*messages)
    asked_with = scope(**{"method": "POST", "headers": JSON_HEADERS, **more})
    asyncio.run(watched(asked_with, app.server.receive, app.server.send))
    return app


def test_the_application_gets_the_very_messages_in_their_order(worker, push):
    messages = parts(b'{"ki', b"", b'nd": "go', b'od"}')
    app = served(worker, push, messages)

    assert app.read_before == 0
    assert all(got is sent for got, sent in zip(app.got, messages, strict=True))
    assert worker.event["request"]["body"] == {"kind": "good"}


def test_a_body_in_parts_is_seen_whole_by_the_rule(worker, push):
    app = served(worker, push, parts(b'{"ki', b'nd": "b', b'ad"}'))

    assert app.server.sent[0]["status"] == 403
    assert worker.event["request"]["body"] == {"kind": "bad"}


def test_without_a_rule_on_the_body_nothing_is_read_ahead(worker, push):
    app = served(worker, push, parts(b"a", b"b"), [blocking("r1", ("request.route", "^/admin"))])

    assert app.read_before == 2


def test_nothing_is_read_ahead_where_the_rest_of_the_rule_does_not_hold(worker, push):
    rules = [blocking("r1", ("request.verb", "PUT"), ("request.body.kind", "bad"))]

    assert served(worker, push, parts(b"a", b"b"), rules).read_before == 2


def test_a_body_beyond_the_cap_is_passed_on_whole_and_unseen(worker, push):
    messages = parts(b'{"kind": "bad", "rest": "', b"x" * 600, b"x" * 600, b"x" * 600, b'"}')
    app = served(worker, push, messages, settings={"MAX_BODY_SIZE": 1000})

    assert app.server.sent[0]["status"] == 200
    assert app.read_before == 2
    assert all(got is sent for got, sent in zip(app.got, messages, strict=True))


def test_a_body_that_says_it_is_beyond_the_cap_is_not_read_ahead(worker, push):
    headers = [*JSON_HEADERS, (b"content-length", b"1001")]
    app = served(worker, push, parts(b"{}", b""), headers=headers, settings={"MAX_BODY_SIZE": 1000})

    assert app.read_before == 2


def test_a_body_of_exactly_the_cap_is_seen(worker, push):
    body = b'{"kind": "bad"}'.ljust(1000)
    app = served(worker, push, parts(body[:500], body[500:]), settings={"MAX_BODY_SIZE": 1000})

    assert app.server.sent[0]["status"] == 403


def test_a_flood_of_empty_parts_is_not_read_to_its_end(worker, push, monkeypatch):
    monkeypatch.setattr(read_ahead, "MAX_MESSAGES", 10)
    app = served(worker, push, parts(*[b""] * 50, b'{"kind": "bad"}'))

    assert app.read_before == 41
    assert len(app.got) == 51


def test_a_length_of_exactly_the_cap_is_not_beyond_it(worker, push):
    headers = [*JSON_HEADERS, (b"content-length", b"1000")]
    body = parts(b'{"kind": "bad"}'.ljust(1000))
    app = served(worker, push, body, headers=headers, settings={"MAX_BODY_SIZE": 1000})

    assert app.server.sent[0]["status"] == 403


def test_a_client_that_leaves_while_it_is_read_leaves_for_the_application_too(worker, push):
    raised: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await Request(scope, receive).body()
        except ClientDisconnect as error:
            raised.append(error)

    watched = worker.wrap(app)
    push(rules=[BODY_RULE])
    server = OneRequest(
        {"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}
    )
    asyncio.run(watched(scope(method="POST"), server.receive, server.send))

    assert len(raised) == 1
    assert worker.event["metadata"]["moesif"]["ending"] == "disconnected"


def test_what_came_of_a_body_before_its_client_left_is_not_taken_for_the_body(worker, push):
    app = worker.wrap(PlainTextResponse("hello"))
    push(rules=[BODY_RULE])
    part = {"type": "http.request", "body": b'{"kind": "bad"}', "more_body": True}
    server = OneRequest(part, {"type": "http.disconnect"})
    asyncio.run(app(scope(method="POST", headers=JSON_HEADERS), server.receive, server.send))

    assert server.sent[0]["status"] == 200


def test_a_request_that_is_cancelled_while_it_is_read_is_cancelled(worker, push):
    async def main() -> None:
        server = OneRequest({"type": "http.request", "body": b"x", "more_body": True})
        request = asyncio.create_task(watched(scope(method="POST"), server.receive, server.send))
        await server.starved.wait()
        request.cancel()
        await request

    watched = worker.wrap(PlainTextResponse("x"))
    push(rules=[BODY_RULE])
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert worker.event["metadata"]["moesif"]["ending"] == "disconnected"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"kind": "bad"', {"content-type": "application/json"}),
        (b"\xff\xfe\x00", {"content-type": "application/json"}),
        (b'x{"kind": "bad"}', {"content-encoding": "unheard-of"}),
        (b"[" * 200_000, {"content-type": "application/json"}),
        (b'"bad"', {"content-type": "application/json"}),
        (b"", {}),
    ],
    ids=["broken", "binary", "unknown coding", "too deep", "a text", "none"],
)
def test_a_body_that_cannot_be_looked_into_matches_nothing(worker, push, content, headers):
    app = worker.wrap(PlainTextResponse("hello"))
    push(rules=[BODY_RULE, rule("r2", ("request.body.query", "."), block=True)])

    assert asked(app, "POST", "/", content=content, headers=headers).status_code == 200


def test_bodies_that_are_not_recorded_are_looked_at_all_the_same(worker, push):
    app = worker.wrap(PlainTextResponse("hello"), LOG_BODY=False)
    push(rules=[BODY_RULE])

    assert asked(app, "POST", "/", json={"kind": "bad"}).status_code == 403
    assert "body" not in worker.event["request"]

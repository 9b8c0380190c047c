"""Rules of the dashboard around real applications: what is blocked, what is added, and what is left alone."""

import asyncio
from typing import Any

import httpx
import pytest
from lab.one_request import OneRequest, scope
from lab.one_worker import BACKENDS, Backend, OneWorker, asked
from lab.rules import adding, blocking
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from moesifasgi.enforcement.governor import merged

HELLO = PlainTextResponse("hello")
ADMIN = ("request.route", "^/admin")


def never(scope: Any, receive: Any, send: Any) -> Any:
    raise AssertionError("the application was asked")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_blocked_call_gets_the_rules_answer_and_the_application_is_not_asked(
    worker, push, backend: Backend
):
    app = worker.wrap(never)
    push(rules=[blocking("r1", ADMIN, status=429, body={"error": ["slow", "down"]})])
    response = asked(app, "GET", "/admin/users", backend)

    assert response.status_code == 429
    assert response.json() == {"error": ["slow", "down"]}
    assert response.headers["x-blocked"] == "r1"
    assert response.headers["content-length"] == str(len(response.content))
    assert worker.counted("blocked") == 1


def test_a_blocked_call_is_recorded_as_any_other_and_names_the_rule(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", ADMIN)])
    response = asked(app, "POST", "/admin", json={"a": 1})

    assert worker.event["blocked_by"] == "r1"
    assert worker.event["response"]["status"] == 403
    assert worker.event["response"]["body"] == {"blocked": "r1"}
    assert worker.event["transaction_id"] == response.headers["x-moesif-transaction-id"]


def test_what_no_rule_names_is_served_as_if_there_were_none(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", ADMIN)])
    response = asked(app, "GET", "/orders")

    assert (response.status_code, response.text) == (200, "hello")
    assert "blocked_by" not in worker.event
    assert worker.counted("blocked") == 0


def test_the_answer_to_a_head_request_has_headers_but_no_body(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1")])
    server = OneRequest()
    asyncio.run(app(scope(method="HEAD"), server.receive, server.send))
    start, body = server.sent

    assert (start["status"], body.get("body"), body.get("more_body", False)) == (403, b"", False)
    assert int(dict(start["headers"])[b"content-length"]) > 0


@pytest.mark.parametrize(
    "settings",
    [{"SAMPLE_RATE": 0}, {"EXCLUDE_PATHS": ["/admin"]}, {"EXCLUDE_METHODS": ["GET"]}],
    ids=lambda settings: next(iter(settings)),
)
def test_what_is_not_recorded_is_blocked_all_the_same(worker, push, settings):
    app = worker.wrap(never, **settings)
    push(rules=[blocking("r1", ADMIN)])

    assert asked(app, "GET", "/admin").status_code == 403
    assert worker.events == []
    assert worker.counted("blocked") == 1


def test_a_rule_that_is_gone_blocks_no_more(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1")])
    assert asked(app, "GET", "/").status_code == 403
    push(rules=[])
    assert asked(app, "GET", "/").status_code == 200


def test_a_request_keeps_the_policy_that_it_began_with(worker, push):
    async def changes(scope: Any, receive: Any, send: Any) -> None:
        push(rules=[adding("new", headers={"X-Rule": "new"})])
        await HELLO(scope, receive, send)

    app = worker.wrap(changes)
    push(rules=[adding("old", headers={"X-Rule": "old"})])

    assert asked(app, "GET", "/").headers["x-rule"] == "old"
    assert asked(app, "GET", "/").headers["x-rule"] == "new"


def test_headers_of_a_rule_replace_those_of_the_same_name_and_are_recorded(worker, push):
    app = worker.wrap(PlainTextResponse("hello", headers={"X-Plan": "free", "X-Kept": "yes"}))
    push(rules=[adding("r1", headers={"x-PLAN": "gold", "X-New": 7})])
    response = asked(app, "GET", "/")

    assert response.headers.get_list("x-plan") == ["gold"]
    assert (response.headers["x-kept"], response.headers["x-new"]) == ("yes", "7")
    assert worker.event["response"]["headers"]["x-plan"] == "gold"


def test_a_rules_cookie_stands_beside_the_applications():
    own = [(b"set-cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"ETag", b"x")]

    assert merged(own, [(b"set-cookie", b"c=3"), (b"etag", b"y")]) == [
        *own[:2],
        (b"set-cookie", b"c=3"),
        (b"etag", b"y"),
    ]


def test_the_applications_own_message_is_not_touched(worker, push):
    start = {"type": "http.response.start", "status": 200, "headers": ((b"a", b"1"),)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b"x"})

    watched = worker.wrap(app, DISABLED_TRANSACTION_ID=True)
    push(rules=[adding("r1", headers={"B": "2"})])
    server = OneRequest()
    asyncio.run(watched(scope(), server.receive, server.send))

    assert start["headers"] == ((b"a", b"1"),)
    assert server.sent[0]["headers"] == [(b"a", b"1"), (b"b", b"2")]


def test_headers_come_from_the_rules_in_their_order(worker, push):
    app = worker.wrap(HELLO, IDENTIFY_COMPANY=lambda request, response: "acme")
    push(
        rules=[
            adding("u", kind="user", headers={"X-A": "user"}),
            adding("r", headers={"X-A": "regex", "X-B": "regex"}),
            adding("c", kind="company", headers={"X-A": "company", "X-B": "company"}),
        ],
        user_rules={"ann": [{"rules": "u"}]},
        company_rules={"acme": [{"rules": "c"}]},
    )
    response = asked(app, "GET", "/", auth=("ann", "secret"))

    assert (response.headers["x-a"], response.headers["x-b"]) == ("user", "company")


FACTS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("request.verb", "^PUT$", "/", {"method": "PUT"}),
    ("request.route", "^/a b$", "/a%20b?c=d", {}),
    ("request.ip", "^203[.]0[.]113[.]9$", "/", {"headers": {"x-forwarded-for": "203.0.113.9"}}),
    ("request.ip_address", "^203[.]0[.]113[.]9$", "/", {"headers": {"x-forwarded-for": "203.0.113.9"}}),
    ("request.headers.X-Plan", "^free$", "/", {"headers": {"x-plan": "free"}}),
    ("request.body.amount", "^12$", "/", {"method": "POST", "json": {"amount": 12}}),
    ("request.body.user.plan", "free", "/", {"method": "POST", "json": {"user": {"plan": "free"}}}),
    ("request.body.plan", "^free$", "/", {"method": "POST", "data": {"plan": "free"}}),
    ("request.body.operationName", "^Del", "/", {"method": "POST", "json": {"operationName": "Delete"}}),
    (
        "request.body.query",
        "deleteAll",
        "/",
        {
            "method": "POST",
            "content": b"mutation { deleteAll }",
            "headers": {"content-type": "application/graphql"},
        },
    ),
]


@pytest.mark.parametrize(("path", "pattern", "url", "more"), FACTS, ids=[each[0] for each in FACTS])
def test_a_rule_sees_every_fact_of_the_request(worker, push, path, pattern, url, more):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", (path, pattern))])

    assert asked(app, **{"method": "GET", "path": url, **more}).status_code == 403
    assert asked(app, "DELETE", "/other").status_code == 200


def test_an_address_that_no_trusted_proxy_vouches_for_is_not_believed(worker, push):
    app = worker.wrap(HELLO, TRUSTED_PROXIES=["10.0.0.0/8"])
    push(rules=[blocking("r1", ("request.ip_address", "^203"))])

    assert asked(app, "GET", "/", headers={"x-forwarded-for": "203.0.113.9"}).status_code == 200


def test_a_rule_on_a_path_is_not_got_around_by_writing_it_otherwise(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", ("request.route", "^/admin$"))])

    assert asked(app, "GET", "/%61dmin").status_code == 403


def test_the_route_holds_the_root_path_once(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", ("request.route", "^/api/admin$"))])

    for path in ("/api/admin", "/admin"):
        server = OneRequest()
        asyncio.run(app(scope(path=path, root_path="/api"), server.receive, server.send))
        assert server.sent[0]["status"] == 403


def test_a_path_that_only_begins_as_the_root_path_does_is_below_it(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", ("request.route", "^/api/apix$"))])
    server = OneRequest()
    asyncio.run(app(scope(path="/apix", root_path="/api"), server.receive, server.send))

    assert server.sent[0]["status"] == 403


@pytest.mark.parametrize("pattern", ["^bad$", "^good$", "^good, bad$"])
def test_a_header_that_comes_twice_is_seen_joined_and_value_by_value(worker, push, pattern):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", ("request.headers.x-kind", pattern))])
    for values, status in (((b"good", b"bad"), 403), ((b"fair", b"fine"), 200)):
        server = OneRequest()
        headers = [(b"host", b"h"), *zip((b"x-kind", b"X-Kind"), values, strict=True)]
        asyncio.run(app(scope(headers=headers), server.receive, server.send))
        assert server.sent[0]["status"] == status


@pytest.mark.parametrize("name", ["Date", "Server", "X-Moesif-Transaction-Id"])
def test_a_header_that_is_added_for_every_response_is_not_a_rules_to_set(worker, push, name):
    app = worker.wrap(HELLO)
    push(rules=[adding("r1", headers={name: "mine", "X-A": "1"})])
    response = asked(app, "GET", "/")

    assert response.headers["x-a"] == "1"
    assert response.headers.get(name) != "mine"


def test_an_application_that_raises_raises_through_the_rules(worker, push):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("mine")

    app = worker.wrap(broken)
    push(rules=[adding("r1", headers={"A": "1"})])
    server = OneRequest()
    with pytest.raises(ValueError, match="mine"):
        asyncio.run(app(scope(), server.receive, server.send))

    assert worker.event["response"]["status"] == 500


def test_a_message_that_is_none_is_the_servers_to_refuse(worker, push):
    got: list[Any] = []

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        await send(7)
        await HELLO(scope, receive, send)

    async def keep(message: Any) -> None:
        got.append(message)

    app = worker.wrap(odd)
    push(rules=[adding("r1", headers={"A": "1"})])
    asyncio.run(app(scope(), OneRequest().receive, keep))

    assert got[0] == 7
    assert (b"a", b"1") in got[1]["headers"]
    assert worker.counted("governance_failed") == 1
    worker.channel.counters.start_afresh()
    worker.channel.events.clear()


def test_a_client_that_leaves_before_the_rules_answer_is_no_fault(worker, push):
    async def gone(message: Any) -> None:
        raise ConnectionResetError

    app = worker.wrap(never)
    push(rules=[blocking("r1")])
    asyncio.run(app(scope(), OneRequest().receive, gone))

    assert worker.event["blocked_by"] == "r1"
    assert worker.event["metadata"]["moesif"]["ending"] == "disconnected"


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_websockets_and_lifespan_are_not_governed(worker, push, kind):
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})

    watched = worker.wrap(app)
    push(rules=[blocking("r1")])
    server = OneRequest({"type": "lifespan.startup"})
    asyncio.run(watched(scope(type=kind), server.receive, server.send))

    assert seen == [kind]


def test_two_middlewares_of_an_application_enforce_one_policy(worker, push):
    first, second = worker.wrap(HELLO), worker.wrap(JSONResponse([]))
    push(rules=[blocking("r1")])

    assert asked(first, "GET", "/").status_code == asked(second, "GET", "/").status_code == 403
    assert first._in_force is second._in_force


def test_overlapping_requests_are_each_judged_by_their_own_facts(worker, push):
    async def echo(request: Any) -> PlainTextResponse:
        body = await request.body()
        await asyncio.sleep(0)
        return PlainTextResponse(body)

    app = worker.wrap(Starlette(routes=[Route("/", echo, methods=["POST"])]))
    push(rules=[blocking("odd", ("request.body.n", "[13579]$"))])

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://example.org") as client:
            return await asyncio.gather(*(client.post("/", json={"n": n}) for n in range(100)))

    answers = asyncio.run(main())

    assert [answer.status_code for answer in answers] == [200, 403] * 50
    assert [answer.json() for answer in answers[::2]] == [{"n": n} for n in range(0, 100, 2)]
    assert sum(event.get("blocked_by") == "odd" for event in worker.events) == 50


def test_headers_that_can_be_read_only_once_are_left_for_the_application(worker, push):
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await HELLO(scope, receive, send)

    watched = worker.wrap(app)
    push(rules=[blocking("r1", ("request.headers.a", "1"))], user_sample_rate={"ann": 50})
    server = OneRequest()
    asyncio.run(watched(scope(headers=iter([(b"a", b"1")])), server.receive, server.send))

    assert seen == [(b"a", b"1")]


def test_a_rule_that_cannot_be_decided_lets_the_request_pass_and_is_counted(worker: OneWorker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1", ("request.headers.a", "1"))])
    server = OneRequest()
    # No server gives such headers; whatever is wrong with us, the application is served.
    asyncio.run(app(scope(headers=[("a", "1")]), server.receive, server.send))

    assert server.sent[0]["status"] == 200
    assert worker.counted("governance_failed") == 1
    worker.channel.counters.start_afresh()
    worker.channel.events.clear()

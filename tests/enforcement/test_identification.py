"""Who it is, asked before the application runs, and only if a rule has to know."""

import asyncio
import contextvars
import time
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from lab.one_request import OneRequest, scope
from lab.one_worker import BACKENDS, Backend, asked
from lab.rules import blocking
from starlette.responses import PlainTextResponse

from moesifasgi.waiting import waiting

HELLO = PlainTextResponse("hello")
ANN_IS_BLOCKED = {
    "rules": [
        blocking("u", kind="user", body={"who": "{{0}}"}, variables=[{"name": "0", "path": "user_id"}])
    ],
    "user_rules": {"ann": [{"rules": "u", "values": {"0": "Ann"}}]},
}
NOBODY_IS_BLOCKED = {"rules": [blocking("n", kind="user", applied_to_unidentified=True)]}


class Hook:
    """Answers ``answer`` (raises it, if it is an exception) and keeps what it was called with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, request: Any, response: Any) -> Any:
        self.calls.append((request, response))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_user_is_known_by_the_authorization_header(worker, push):
    app = worker.wrap(HELLO)
    push(**ANN_IS_BLOCKED)

    assert asked(app, "GET", "/", auth=("ann", "x")).json() == {"who": "Ann"}
    assert asked(app, "GET", "/", auth=("bob", "x")).status_code == 200
    assert asked(app, "GET", "/").status_code == 200


def test_a_user_is_known_by_the_hook_before_the_application_runs(worker, push):
    hook = Hook("ann")
    app = worker.wrap(HELLO, IDENTIFY_USER=hook)
    push(**ANN_IS_BLOCKED)

    assert asked(app, "GET", "/?a=b").status_code == 403
    ((request, response),) = hook.calls
    assert (str(request.url), response) == ("http://example.org/?a=b", None)
    assert worker.event["user_id"] == "ann"


def test_a_hook_that_said_who_it_is_is_not_asked_again(worker, push):
    user, company = Hook("bob"), Hook("acme")
    app = worker.wrap(HELLO, IDENTIFY_USER=user, IDENTIFY_COMPANY=company)
    push(
        rules=[*ANN_IS_BLOCKED["rules"], blocking("c", kind="company", applied_to_unidentified=True)],
        user_rules=ANN_IS_BLOCKED["user_rules"],
    )

    assert asked(app, "GET", "/").status_code == 200
    assert (len(user.calls), len(company.calls)) == (1, 1)
    assert (worker.event["user_id"], worker.event["company_id"]) == ("bob", "acme")


@pytest.mark.parametrize("answer", [None, "", ValueError("not yet")], ids=["None", "empty", "raises"])
def test_a_hook_that_did_not_know_is_asked_again_with_the_response(worker, push, answer):
    hook = Hook(answer)
    app = worker.wrap(HELLO, IDENTIFY_USER=hook)
    push(**ANN_IS_BLOCKED)
    asked(app, "GET", "/")

    (_, before), (_, after) = hook.calls
    assert (before, after.status_code) == (None, 200)


def test_no_hook_is_asked_beforehand_where_no_rule_has_to_know(worker, push):
    user, company = Hook("ann"), Hook("acme")
    app = worker.wrap(HELLO, IDENTIFY_USER=user, IDENTIFY_COMPANY=company)
    push(rules=[blocking("r", ("request.route", "^/admin"))])
    asked(app, "GET", "/")

    assert [response.status_code for _, response in user.calls + company.calls] == [200, 200]


def test_only_the_hook_that_a_rule_has_to_know_is_asked_beforehand(worker, push):
    user, company = Hook("ann"), Hook("acme")
    app = worker.wrap(HELLO, IDENTIFY_USER=user, IDENTIFY_COMPANY=company)
    push(rules=[blocking("c", kind="company")], company_rules={"acme": [{"rules": "c"}]})

    assert asked(app, "GET", "/").status_code == 403
    assert company.calls[0][1] is None
    assert user.calls[0][1].status_code == 403
    push(**ANN_IS_BLOCKED)
    asked(app, "GET", "/")
    assert user.calls[1][1] is None
    assert company.calls[1][1].status_code == 403


def test_a_hook_that_says_nobody_leaves_it_to_the_authorization_header(worker, push):
    app = worker.wrap(HELLO, IDENTIFY_USER=Hook(None))
    push(**ANN_IS_BLOCKED)

    assert asked(app, "GET", "/", auth=("ann", "x")).status_code == 403


def test_an_unidentified_user_is_met_by_rules_for_nobody(worker, push):
    app = worker.wrap(HELLO, IDENTIFY_USER=Hook(""))
    push(**NOBODY_IS_BLOCKED)

    assert asked(app, "GET", "/").status_code == 403
    assert asked(app, "GET", "/", auth=("ann", "x")).status_code == 200


def test_for_an_unknown_user_only_regex_rules_count(worker, push):
    app = worker.wrap(HELLO, IDENTIFY_USER=Hook(KeyError("state")))
    push(**NOBODY_IS_BLOCKED)
    assert asked(app, "GET", "/", auth=("ann", "x")).status_code == 200
    push(rules=[*NOBODY_IS_BLOCKED["rules"], blocking("r")])
    assert asked(app, "GET", "/").headers["x-blocked"] == "r"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_asynchronous_hook_is_awaited_in_place(worker, push, backend: Backend):
    async def identify(request: Any, response: Any) -> str:
        await anyio.lowlevel.checkpoint()
        return "ann"

    app = worker.wrap(HELLO, IDENTIFY_USER=identify)
    push(**ANN_IS_BLOCKED)

    assert asked(app, "GET", "/", backend).status_code == 403
    assert worker.event["user_id"] == "ann"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hook_that_hangs_lets_the_request_pass_after_its_time(worker, push, backend: Backend):
    async def hangs(request: Any, response: Any) -> str:
        await anyio.sleep(30)
        return "ann"

    app = worker.wrap(HELLO, IDENTIFY_USER=hangs, HOOK_TIMEOUT=0.05)
    push(**NOBODY_IS_BLOCKED)
    begun = time.monotonic()

    assert asked(app, "GET", "/", backend).status_code == 200
    assert time.monotonic() - begun < 5
    assert worker.counted("hook_timed_out") == 2


def test_a_hook_that_takes_no_cancellation_holds_up_no_request(worker, push):
    async def stubborn(request: Any, response: Any) -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        nonlocal over
        over = asyncio.Event()
        server = OneRequest()
        await asyncio.wait_for(app(scope(), server.receive, server.send), 5)
        assert server.sent[0]["status"] == 200
        over.set()
        await waiting.drain(5)

    over = asyncio.Event()
    app = worker.wrap(HELLO, IDENTIFY_USER=stubborn, HOOK_TIMEOUT=0.05)
    push(**ANN_IS_BLOCKED)
    asyncio.run(main())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_request_that_is_cancelled_while_a_hook_is_awaited_is_cancelled(worker, push, backend: Backend):
    ended: list[str] = []

    async def hangs(request: Any, response: Any) -> None:
        try:
            await anyio.sleep(30)
        finally:
            ended.append("hook")

    async def never(scope: Any, receive: Any, send: Any) -> None:
        ended.append("application")

    async def main() -> None:
        with anyio.move_on_after(0.05) as limit:
            server = OneRequest()
            await app(scope(), server.receive, server.send)
        assert limit.cancelled_caught
        await anyio.lowlevel.checkpoint()

    app = worker.wrap(never, IDENTIFY_USER=hangs, HOOK_TIMEOUT=0.5)
    push(**ANN_IS_BLOCKED)
    if backend == "trio":
        trio.run(main)
    else:
        asyncio.run(main())
        asyncio.run(waiting.drain(1))

    assert "hook" in ended
    assert "application" not in ended


def test_a_hook_reads_a_body_that_was_read_ahead(worker, push):
    async def by_body(request: Any, response: Any) -> str:
        return str((await request.json())["user"])

    app = worker.wrap(HELLO, IDENTIFY_USER=by_body)
    push(
        rules=[*ANN_IS_BLOCKED["rules"], blocking("b", ("request.body.kind", "^bad$"))],
        user_rules=ANN_IS_BLOCKED["user_rules"],
    )

    assert asked(app, "POST", "/", json={"user": "ann"}).status_code == 403
    assert asked(app, "POST", "/", json={"user": "bob"}).status_code == 200


def test_a_hook_that_reads_a_body_not_read_ahead_does_not_know_and_the_body_stays(worker, push):
    async def by_body(request: Any, response: Any) -> str:
        return str((await request.json())["user"])

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse((await receive())["body"])(scope, receive, send)

    app = worker.wrap(echo, IDENTIFY_USER=by_body)
    push(**ANN_IS_BLOCKED)
    response = asked(app, "POST", "/", json={"user": "ann"})

    assert (response.status_code, response.json()) == (200, {"user": "ann"})
    assert worker.counted("hook_failed") == 1
    assert worker.event["user_id"] == "ann"


def test_what_a_hook_sets_in_its_context_or_state_does_not_reach_the_application(worker, push):
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[Any] = []

    def identify(request: Any, response: Any) -> str:
        variable.set("dirty")
        request.state.dirty = True
        return "bob"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((variable.get(), dict(scope["state"])))
        await HELLO(scope, receive, send)

    watched = worker.wrap(app, IDENTIFY_USER=identify)
    push(**ANN_IS_BLOCKED)
    server = OneRequest()
    asyncio.run(watched(scope(), server.receive, server.send))

    assert seen == [("clean", {})]

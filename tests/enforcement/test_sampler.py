"""The dashboard's rates: what is kept, what it weighs, and when that is decided."""

import asyncio
import itertools
from typing import Any

import pytest
from lab.one_request import OneRequest, scope
from lab.one_worker import OneWorker, asked
from lab.rules import blocking
from starlette.responses import PlainTextResponse

from moesifasgi.enforcement.sampler import Sampler
from moesifasgi.settings import Settings

HELLO = PlainTextResponse("hello")
NEVER, ALWAYS = 0, 100


def regex(path: str, pattern: str, rate: float) -> dict[str, Any]:
    return {"conditions": [{"path": path, "value": pattern}], "sample_rate": rate}


def kept(worker: OneWorker, app: Any, method: str = "GET", path: str = "/", **more: Any) -> bool:
    before = len(worker.channel.events)
    asked(app, method, path, **more)
    return len(worker.channel.events) > before


def ann(request: Any, response: Any) -> str:
    return "ann"


def test_the_rate_of_the_dashboard_keeps_its_share_with_weights_that_make_up_for_the_rest(worker, push):
    app = worker.wrap(HELLO)
    push(sample_rate=30)
    # One loop for all: 1,000 of them cost more than the requests.
    _serve_many(app, 1000)

    assert 200 < len(worker.events) < 400
    assert {event["weight"] for event in worker.events} == {3, 4}
    assert 800 < sum(event["weight"] for event in worker.events) < 1200
    assert worker.counted("sampled_out") == 1000 - len(worker.events)


def test_the_rates_of_settings_and_dashboard_multiply(worker, push):
    app = worker.wrap(HELLO, SAMPLE_RATE=50)
    push(sample_rate=50)
    _serve_many(app, 1000)

    assert 180 < len(worker.events) < 320
    assert {event["weight"] for event in worker.events} == {4}


def test_two_rates_multiply_where_one_is_asked_at_the_end_too(worker, push):
    app = worker.wrap(HELLO, SAMPLE_RATE=50)
    push(sample_rate=100, regex_config=[regex("response.status", "200", 50)])
    _serve_many(app, 1000)

    assert 180 < len(worker.events) < 320
    assert {event["weight"] for event in worker.events} == {4}
    assert worker.counted("sampled_out") == 1000 - len(worker.events)


def test_by_the_documented_rule_a_user_comes_before_a_company_and_the_lower_of_that_and_a_pattern_counts(
    worker, push
):
    app = worker.wrap(HELLO, IDENTIFY_COMPANY=lambda request, response: "acme")
    push(
        sample_rate=NEVER,
        user_sample_rate={"ann": ALWAYS, "bob": NEVER},
        company_sample_rate={"acme": ALWAYS},
        regex_config=[regex("request.route", "^/quiet", NEVER), regex("request.route", "^/loud", ALWAYS)],
    )

    assert kept(worker, app, auth=("ann", "x"))
    assert not kept(worker, app, auth=("bob", "x"))
    assert kept(worker, app)
    assert not kept(worker, app, path="/quiet", auth=("ann", "x"))
    assert not kept(worker, app, path="/loud", auth=("bob", "x"))


def test_with_first_match_the_first_pattern_wins_outright(worker, push):
    app = worker.wrap(HELLO, SAMPLING="first-match")
    push(user_sample_rate={"bob": NEVER}, regex_config=[regex("request.route", "^/loud", ALWAYS)])

    assert kept(worker, app, path="/loud", auth=("bob", "x"))
    assert not kept(worker, app, auth=("bob", "x"))


@pytest.mark.parametrize(
    ("path", "pattern", "yes", "no"),
    [
        ("response.status", "^200$", {}, {"method": "DELETE"}),
        ("request.body.kind", "^a$", {"json": {"kind": "a"}}, {"json": {"kind": "b"}}),
        ("request.verb", "^POST$", {}, {"method": "PUT"}),
        ("request.headers.x-kind", "^a$", {"headers": {"x-kind": "a"}}, {}),
    ],
    ids=["status", "body", "verb", "header"],
)
def test_a_pattern_may_look_at_every_fact(worker, push, path, pattern, yes, no):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        status = 404 if scope["method"] == "DELETE" else 200
        await PlainTextResponse("x", status)(scope, receive, send)

    watched = worker.wrap(app)
    push(sample_rate=NEVER, regex_config=[regex(path, pattern, ALWAYS)])

    assert kept(worker, watched, **{"method": "POST", **yes})
    assert not kept(worker, watched, **{"method": "POST", **no})


@pytest.mark.parametrize("user_id", ["12", 12], ids=["text", "number"])
def test_a_user_of_the_hook_is_asked_for_at_the_end_and_only_once(worker, push, user_id):
    """A20: ids that were no text matched no rate."""
    calls: list[Any] = []

    def identify(request: Any, response: Any) -> Any:
        calls.append(response)
        return user_id

    app = worker.wrap(HELLO, IDENTIFY_USER=identify)
    push(sample_rate=ALWAYS, user_sample_rate={"12": NEVER})

    assert not kept(worker, app)
    assert [response.status_code for response in calls] == [200]


def test_a_mask_changes_nothing_of_what_is_sampled_and_does_not_run_for_what_is_not_kept(worker, push):
    """A20: sampling saw the masked event."""
    masked: list[Any] = []

    def mask(event: Any) -> Any:
        masked.append(event)
        event.request.body = {}
        event.request.headers = {}
        event.user_id = None
        return event

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await HELLO(scope, receive, send)

    watched = worker.wrap(
        app, MASK_EVENT_MODEL=mask, IDENTIFY_USER=ann, REQUEST_BODY_MASKS=["kind"], REQUEST_HEADER_MASKS=["x"]
    )
    push(
        sample_rate=NEVER,
        user_sample_rate={"ann": ALWAYS},
        regex_config=[regex("request.body.kind", "^b$", NEVER)],
    )

    assert kept(worker, watched, method="POST", json={"kind": "a"})
    assert not kept(worker, watched, method="POST", json={"kind": "b"})
    assert len(masked) == 1


def test_skip_comes_before_sampling(worker, push):
    app = worker.wrap(HELLO, SKIP=lambda request, response: True, IDENTIFY_USER=ann)
    push(sample_rate=NEVER, user_sample_rate={"bob": ALWAYS})
    asked(app, "GET", "/")

    assert (worker.counted("skipped"), worker.counted("sampled_out")) == (1, 0)


def test_an_unknown_user_counts_as_none_and_is_not_looked_for_in_the_header(worker, push):
    def fails(request: Any, response: Any) -> str:
        raise ValueError

    app = worker.wrap(HELLO, IDENTIFY_USER=fails)
    push(sample_rate=ALWAYS, user_sample_rate={"ann": NEVER})

    assert kept(worker, app, auth=("ann", "x"))


def test_what_is_sampled_out_early_is_not_even_captured(worker, push):
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((receive, send))
        await HELLO(scope, receive, send)

    watched = worker.wrap(app)
    push(sample_rate=NEVER, user_sample_rate={"ann": ALWAYS})
    server = OneRequest()
    given = server.receive, server.send
    asyncio.run(watched(scope(), *given))

    assert seen == [given]
    assert worker.counted("sampled_out") == 1


def test_blocked_calls_are_sampled_like_others(worker, push):
    app = worker.wrap(HELLO)
    push(rules=[blocking("r1")], sample_rate=NEVER)
    assert not kept(worker, app)
    push(rules=[blocking("r1")], sample_rate=NEVER, regex_config=[regex("response.status", "403", ALWAYS)])
    assert kept(worker, app)


@pytest.mark.parametrize("settings", [{}, {"IDENTIFY_USER": ann}], ids=["early", "at the end"])
def test_every_rate_keeps_its_share_exactly(worker, settings):
    """With draws that are spread evenly, the number kept is the rate, and the weights add up to all."""
    every = itertools.cycle(number / 1000 for number in range(1000))
    sampler = Sampler(Settings.load({**worker.settings, **settings}, {}), lambda: next(every))
    for rate in (0.1, 7, 30, 33.3, 62.5, 99.9):
        assert sum(sampler.keeps(rate) for _ in range(1000)) == pytest.approx(10 * rate, abs=1)
        assert sum(sampler.weight(rate) for _ in range(1000)) / 1000 == pytest.approx(100 / rate, rel=0.01)


def _serve_many(app: Any, count: int) -> None:
    async def main() -> None:
        for _ in range(count):
            server = OneRequest()
            await app(scope(), server.receive, server.send)

    asyncio.run(main())

"""The code of docs/sampling-and-governance.md runs, its requests work, and what its text names exists."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab.one_worker import OneWorker, asked
from lab.rules import blocking
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse

from moesifasgi.counters import Counters
from moesifasgi.enforcement.body import MAX_FIELDS, MAX_PART_HEAD_BYTES, MAX_PARTS
from moesifasgi.event.body import IN_THE_WORKER
from moesifasgi.inspector import Collector
from moesifasgi.settings import ENTRIES, SamplingOrder
from moesifasgi.shipper.status_words import MAX_FAULT_LINES

TEXT = (Path(__file__).parents[2] / "docs" / "sampling-and-governance.md").read_text("utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(SHELL,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
REQUESTS = re.findall(r"curl -X (\w+) http://127.0.0.1:8025(\S+) -d '(.*?)'", SHELL, re.DOTALL)
BLOCKS_ANN = {"rules": [blocking("u", kind="user")], "user_rules": {"ann": [{"rules": "u"}]}}


def documented_app(worker: OneWorker) -> Any:
    names: dict[str, Any] = {}
    exec(compile(CODE, "docs/sampling-and-governance.md", "exec"), names)
    app = names["app"]
    ((_, _, options),) = app.user_middleware
    options["settings"] |= worker.settings
    return app


def test_the_hook_of_the_documentation_names_the_user_to_the_rules(worker, push):
    app = documented_app(worker)
    assert asked(app, "GET", "/", headers={"cookie": "session=session-of-ann"}).status_code == 404
    push(**BLOCKS_ANN)

    assert asked(app, "GET", "/", headers={"cookie": "session=session-of-ann"}).status_code == 403
    assert asked(app, "GET", "/", headers={"cookie": "session=another"}).status_code == 404


@pytest.mark.parametrize(
    ("is_outside", "hook", "status"),
    [
        (True, lambda request, response: request.state.user, 403),
        (False, lambda request, response: request.state.user, 200),
        (False, lambda request, response: getattr(request.state, "user", None), 418),
    ],
    ids=["outside", "inside: unknown", "inside: nobody"],
)
def test_the_trap_is_as_it_is_described(worker, push, is_outside, hook, status):
    async def authenticated(request: Any, call_next: Any) -> Any:
        request.state.user = "ann"
        return await call_next(request)

    def with_authentication(app: Any) -> Any:
        return BaseHTTPMiddleware(app, dispatch=authenticated)

    hello = PlainTextResponse("hello")
    app = worker.wrap(hello if is_outside else with_authentication(hello), IDENTIFY_USER=hook)
    push(
        rules=[
            *BLOCKS_ANN["rules"],
            blocking("nobody", kind="user", applied_to_unidentified=True, status=418),
        ],
        user_rules=BLOCKS_ANN["user_rules"],
    )

    assert asked(with_authentication(app) if is_outside else app, "GET", "/").status_code == status
    assert worker.event.get("user_id") == (None if status == 418 else "ann")


def test_the_requests_of_the_documentation_set_a_rule_that_works(worker, push):
    with Collector() as collector:
        for method, path, body in REQUESTS:
            assert httpx.request(method, collector.url + path, content=body).status_code == 204
        headers = {"X-Moesif-Application-Id": worker.settings["APPLICATION_ID"]}
        rules = httpx.get(collector.url + "/v1/rules", headers=headers).json()
        config = httpx.get(collector.url + "/v1/config", headers=headers).json()
    app = worker.wrap(PlainTextResponse("hello"))
    push(rules=rules, **config)
    response = asked(app, "GET", "/admin")

    assert (response.status_code, response.headers["retry-after"]) == (503, "120")
    assert response.json() == json.loads(REQUESTS[0][2])[0]["response"]["body"]
    assert config == {"sample_rate": 30}


@pytest.mark.parametrize("order", SamplingOrder)
@pytest.mark.parametrize("pattern_rate", [10, 80])
def test_the_table_of_rates_is_right(worker, push, order, pattern_rate):
    app = worker.wrap(PlainTextResponse("hello"), SAMPLING=order.value)
    pattern = {"conditions": [{"path": "request.route", "value": "^/search"}], "sample_rate": pattern_rate}
    push(sample_rate=100, user_sample_rate={"ann": 50}, regex_config=[pattern])
    weights = {100: {1}, 80: {1, 2}, 50: {2}, 10: {10}}
    of_ann_searching = pattern_rate if order is SamplingOrder.FIRST_MATCH else min(50, pattern_rate)
    for path, user, rate in (
        ("/orders", "bob", 100),
        ("/orders", "ann", 50),
        ("/search", "bob", pattern_rate),
        ("/search", "ann", of_ann_searching),
    ):
        worker.channel.events.clear()
        worker.channel.counters.start_afresh()
        while not worker.channel.events:
            asked(app, "GET", path, auth=(user, "x"))
        assert worker.event["weight"] in weights[rate]


def test_the_bounds_of_the_documentation_are_those_of_the_code():
    text = " ".join(TEXT.split())
    assert f"beyond {IN_THE_WORKER.decoded_bytes // 1000} kB, what a content coding unpacks to" in text
    assert f"after {MAX_FIELDS:,} different fields (or {MAX_PARTS:,} parts;" in text
    assert f"headers take more than {MAX_PART_HEAD_BYTES // 1000} kB)" in text
    assert MAX_FAULT_LINES == 10


def test_what_the_documentation_names_exists():
    keys = set(re.findall(r"`([A-Z][A-Z_]+[A-Z])`", TEXT))
    counters = set(re.findall(r"`(blocked|sampled_out|governance_\w+)`", TEXT))

    assert keys <= set(ENTRIES), keys - set(ENTRIES)
    assert counters == {"blocked", "sampled_out", "governance_failed"} & set(Counters().snapshot())
    assert len(REQUESTS) == 2

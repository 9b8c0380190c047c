"""Faults of the in-process middleware's governance (A17): none of them is here."""

from typing import Any

import pytest
from lab.one_worker import OneWorker, asked
from lab.rules import adding, blocking
from starlette.responses import PlainTextResponse

HELLO = PlainTextResponse("hello")


def enforce(worker: OneWorker, *rules: dict[str, Any], **config: Any) -> None:
    worker.channel.push(0, {"config": config, "rules": list(rules)})


def test_a_cohort_entry_for_a_rule_that_is_not_there_fails_no_request(worker: OneWorker):
    """A17a: a 500 for the client, for as long as config and rules were not of the same moment."""
    app = worker.wrap(HELLO, IDENTIFY_COMPANY=lambda request, response: "acme")
    entries = [{"rules": "gone", "values": {"0": "x"}}, {"rules": "r1"}]
    enforce(
        worker,
        blocking("r1", ("request.route", "^/admin"), kind="user"),
        user_rules={"ann": entries},
        company_rules={"acme": entries},
    )

    assert asked(app, "GET", "/", auth=("ann", "x")).status_code == 200
    assert asked(app, "GET", "/admin", auth=("ann", "x")).status_code == 403


def test_the_headers_of_a_rule_that_does_not_block_are_on_the_response(worker: OneWorker):
    """A17b: they never were."""
    app = worker.wrap(HELLO)
    enforce(worker, adding("r1", headers={"Deprecation": "true"}))
    response = asked(app, "GET", "/")

    assert (response.text, response.headers["deprecation"]) == ("hello", "true")


@pytest.mark.parametrize("make", [adding, blocking], ids=["added", "blocked"])
def test_header_values_keep_their_spaces_and_may_be_numbers(worker: OneWorker, make: Any):
    """A17c: spaces became underscores, and a number a 500."""
    headers = {"Sunset": "Sat, 31 Dec 2033 23:59:59 GMT", "Retry-After": 120}
    rule = adding("r1", headers=headers)
    if make is blocking:
        rule |= {"block": True, "response": {"status": 429, "headers": headers}}
    app = worker.wrap(HELLO)
    enforce(worker, rule)
    response = asked(app, "GET", "/")

    assert response.status_code == (429 if make is blocking else 200)
    assert response.headers["sunset"] == headers["Sunset"]
    assert response.headers["retry-after"] == "120"


def test_a_user_whose_hook_fails_is_not_taken_for_nobody(worker: OneWorker):
    """A17d: the hook was called with None for the response, and a user that it so failed to name passed, or
    was met by rules for nobody.
    """

    def identify(request: Any, response: Any) -> str:
        return str(response.headers["x-user"])

    app = worker.wrap(PlainTextResponse("hello", headers={"X-User": "ann"}), IDENTIFY_USER=identify)
    enforce(worker, blocking("nobody", kind="user", applied_to_unidentified=True))

    assert asked(app, "GET", "/").status_code == 200
    assert worker.event["user_id"] == "ann"


def test_a_hook_runs_once_a_request(worker: OneWorker):
    """A17d: twice, before and after."""
    calls: list[Any] = []

    def identify(request: Any, response: Any) -> str:
        calls.append(response)
        return "bob"

    app = worker.wrap(HELLO, IDENTIFY_USER=identify, IDENTIFY_COMPANY=identify)
    enforce(
        worker,
        blocking("u", kind="user"),
        blocking("c", kind="company"),
        user_rules={"ann": [{"rules": "u"}]},
        company_rules={"acme": [{"rules": "c"}]},
    )
    asked(app, "GET", "/")

    assert calls == [None, None]
    assert (worker.event["user_id"], worker.event["company_id"]) == ("bob", "bob")


def test_a_blocked_response_says_what_it_is(worker: OneWorker):
    """A17e: it had no content type."""
    app = worker.wrap(HELLO)
    enforce(worker, blocking("r1", body={"error": "no"}))
    response = asked(app, "GET", "/")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"error": "no"}
    assert worker.event["response"]["headers"]["content-type"] == "application/json"

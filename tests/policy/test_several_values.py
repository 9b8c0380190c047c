"""What comes more than once: a condition holds if the joined text matches, or any single value."""

import time

import pytest
from lab.policies import UNREAD, blocker, call, entry, policy
from lab.rules import blocking

from moesifasgi.policy.facts import MAX_SEARCHING_S, Facts

KIND = "request.headers.X-Kind"
FIELD = "request.body.op"


def facts_of(kinds: object = None, body: object = UNREAD) -> Facts:
    """A call with the header as the request's ``header`` gives it."""
    return Facts(
        verb="POST",
        route="/",
        ip_address=lambda: None,
        header={"x-kind": kinds}.get,  # type: ignore[arg-type]
        body=None if body is UNREAD else lambda: body,
    )


@pytest.mark.parametrize(
    ("pattern", "holds"),
    [("^bad$", True), ("^good$", True), ("^good, bad$", True), ("^(?!.*good)", True), ("^evil$", False)],
)
def test_a_header_that_comes_twice_is_looked_at_joined_and_singly(pattern: str, holds: bool):
    rules = [blocking("r", (KIND, pattern))]

    assert (blocker(rules, facts_of(("good, bad", "good", "bad"))) == "r") is holds


def test_it_is_so_for_every_condition_of_an_entry():
    rules = [blocking("r", ("request.route", "^/"), (KIND, "^bad$"))]

    assert blocker(rules, facts_of(("good, bad", "good", "bad"))) == "r"
    assert blocker(rules, facts_of("good")) is None


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (["read", "delete"], True),
        (["delete"], True),
        ([None, {"op": "delete"}, "delete"], True),
        (["read", "deleted"], False),
        ([["delete"]], False),
        ([{"op": "delete"}], False),
        ([], False),
    ],
)
def test_of_a_list_in_a_body_any_text_may_match(value: object, holds: bool):
    rules = [blocking("r", (FIELD, "^delete$"))]

    assert (blocker(rules, call(body={"op": value})) == "r") is holds


def test_numbers_of_a_list_are_compared_like_others():
    assert blocker([blocking("r", (FIELD, "^7$"))], call(body={"op": [1, 7.0]})) == "r"


@pytest.mark.parametrize(
    ("body", "holds"),
    [
        ([{"op": "read"}, {"op": "delete"}], True),
        ([{"op": "delete"}], True),
        ([7, None, {"op": ["read", "delete"]}], True),
        ([{"op": "read"}], False),
        ([["op"], "op"], False),
    ],
)
def test_each_object_of_a_body_that_is_a_list_is_looked_into(body: object, holds: bool):
    assert (blocker([blocking("r", (FIELD, "^delete$"))], call(body=body)) == "r") is holds


def test_a_dotted_path_leads_into_the_objects_of_a_batch():
    rules = [blocking("r", ("request.body.variables.id", "^7$"))]

    assert blocker(rules, call(body=[{"variables": {"id": 6}}, {"variables": {"id": 7}}])) == "r"


def test_a_rate_looks_at_several_values_too():
    sampling = policy(config={"regex_config": [entry((KIND, "^bad$"), sample_rate=5)]}).sampling

    assert sampling.rate(facts_of(("good, bad", "good", "bad")), None, None) == 5


@pytest.mark.parametrize("pattern", ["^{n}x$|y{n}", "{n}", "^(?:[ab]+)+{n}$", "x*y*(?=z){n}"])
@pytest.mark.parametrize("value", ["a" * 20, "a" * 250])
def test_many_values_take_no_longer_than_a_decision_may(pattern: str, value: str):
    rules = [blocking(f"r{number}", (FIELD, pattern.replace("{n}", str(number)))) for number in range(300)]
    governance = policy(*rules).governance
    facts = call(body={"op": [value] * 8_000})
    facts.value(FIELD)

    for _ in range(2):
        facts.searching_left_s = MAX_SEARCHING_S
        begun = time.thread_time()
        governance.decide(facts, None, None)
        assert time.thread_time() - begun < 3 * MAX_SEARCHING_S

"""Conditions: what a rule looks at, and when it holds."""

from typing import Any

import pytest
from lab.policies import UNREAD, blocker, call, entry, in_cohort, policy
from lab.rules import blocking, rule

from moesifasgi.policy.facts import UNSEEN, Facts

ROUTE = "request.route"


def holds(path: str, pattern: str, facts: Facts) -> bool:
    return blocker([blocking("r", (path, pattern))], facts) == "r"


def test_all_conditions_of_an_entry_must_hold():
    rules = [blocking("r", (ROUTE, "^/a"), ("request.verb", "^POST$"))]

    assert blocker(rules, call("POST", "/a")) == "r"
    assert blocker(rules, call("GET", "/a")) is None
    assert blocker(rules, call("POST", "/b")) is None


def test_one_entry_that_holds_is_enough():
    either = [entry((ROUTE, "^/a")), entry((ROUTE, "^/b"))]
    rules = [blocking("r", regex_config=either)]

    assert [blocker(rules, call(route=route)) for route in ("/a", "/b", "/c")] == ["r", "r", None]


@pytest.mark.parametrize("regex_config", [None, []])
def test_a_rule_without_entries_is_for_all_calls(regex_config: Any):
    assert blocker([blocking("r", regex_config=regex_config)]) == "r"


def test_an_entry_without_conditions_never_holds():
    rules = [blocking("r", regex_config=[entry(), entry((ROUTE, "^/b"))])]

    assert blocker(rules, call(route="/a")) is None
    assert blocker(rules, call(route="/b")) == "r"


def test_patterns_are_searched_anywhere_and_mind_the_case():
    assert holds(ROUTE, "admin", call(route="/x/admin/y"))
    assert not holds(ROUTE, "ADMIN", call(route="/x/admin/y"))


def test_names_of_headers_do_not_mind_the_case():
    assert holds("request.headers.X-PLAN", "gold", call(headers={"x-plan": "gold"}))
    assert not holds("request.headers.X-Other", ".", call(headers={"x-plan": "gold"}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (7, "7"),
        (-1.5, "-1.5"),
        (2.0, "2"),
        (1e30, "1e+30"),
        (True, "true"),
        (False, "false"),
        (2**63, "9223372036854775808"),
        ("", ""),
    ],
)
def test_a_value_of_a_body_is_compared_as_javascript_writes_it(value: object, text: str):
    assert holds("request.body.x", f"^{text.replace('+', '[+]')}$", call(body={"x": value}))


@pytest.mark.parametrize(
    "value", [None, {}, {"y": "a"}, [], [None, {"y": "a"}, ["a"]], float("nan"), float("inf")]
)
def test_null_and_objects_match_nothing(value: object):
    assert not holds("request.body.x", "", call(body={"x": value}))


@pytest.mark.parametrize("body", [None, [], [{"y": "a"}], [[{"x": "a"}]], ["x"], 7, "text", {}])
def test_a_body_without_the_field_matches_nothing(body: object):
    assert not holds("request.body.x", "", call(body=body))


def test_a_dotted_path_leads_into_objects_unless_a_field_has_that_very_name():
    assert holds("request.body.a.b", "^deep$", call(body={"a": {"b": "deep"}}))
    assert holds("request.body.a.b", "^flat$", call(body={"a.b": "flat", "a": {"b": "deep"}}))
    assert not holds("request.body.a.b.c", "", call(body={"a": {"b": "deep"}}))


def test_graphql_is_found_in_a_json_body_and_in_a_raw_one():
    json_body = {"operationName": "DeleteUser", "query": "mutation DeleteUser { deleteUser }"}

    assert holds("request.body.operationName", "^Delete", call(body=json_body))
    assert holds("request.body.query", "deleteUser", call(body=json_body))
    assert holds("request.body.query", "deleteUser", call(body="mutation { deleteUser }"))
    assert not holds("request.body.operationName", "", call(body="mutation { deleteUser }"))


@pytest.mark.parametrize("path", ["request.uri", "request.body", "", "verb", "request"])
def test_a_path_that_no_call_has_matches_nothing_and_is_said(path: str):
    rules = [blocking("r", (path, ""))]

    assert blocker(rules, call(body={"uri": "x"})) is None
    (fault,) = policy(*rules).faults
    assert fault.startswith("rule r: no call has a value at the path")


def test_a_rule_cannot_look_at_the_response():
    rules = [blocking("r", ("response.status", "^5"))]

    assert blocker(rules) is None
    assert policy(*rules).faults == (
        "rule r: a rule decides before there is a response, so it cannot look at its status",
    )


def test_nothing_matches_what_is_not_there():
    assert not holds("request.ip", "", call(ip=None))
    assert not holds("request.body.x", "", call(body=UNREAD))


def test_what_is_unseen_may_be_seen_later():
    facts = call()
    assert facts.value("request.body.x") is UNSEEN
    assert facts.value("response.status") is UNSEEN

    facts.see_body(lambda: {"x": 1})
    facts.see_status(503)

    assert (facts.value("request.body.x"), facts.value("response.status")) == ("1", "503")


def test_a_body_is_decoded_once_and_only_if_all_else_holds():
    decoded = []

    def body() -> object:
        decoded.append(1)
        return {"x": "a", "y": "b"}

    def facts(route: str) -> Facts:
        made = call(route=route)
        made.see_body(body)
        return made

    rules = [
        blocking("x", ("request.body.x", "z"), (ROUTE, "^/a")),
        blocking("y", ("request.body.y", "b"), (ROUTE, "^/a")),
    ]
    assert blocker(rules, facts("/b")) is None
    assert decoded == []
    assert blocker(rules, facts("/a")) == "y"
    assert decoded == [1]


@pytest.mark.parametrize(
    ("verb", "route", "wanted"), [("POST", "/a", True), ("GET", "/a", False), ("POST", "/b", False)]
)
def test_a_body_is_wanted_only_where_a_rule_could_still_match(verb: str, route: str, wanted: bool):
    rules = [
        blocking("no body", (ROUTE, "^/b")),
        blocking("body", ("request.verb", "POST"), ("request.body.x", "a"), (ROUTE, "^/a")),
    ]

    assert policy(*rules).governance.wants_body(call(verb, route)) is wanted


def test_a_rule_that_can_apply_to_nobody_wants_no_body():
    rules = [blocking("r", ("request.body.x", "a"), kind="user")]

    assert not policy(*rules).governance.wants_body(call())
    assert policy(*rules, config=in_cohort("u1", "r")).governance.wants_body(call())


def test_a_rule_on_nothing_but_the_body_wants_every_body():
    assert policy(blocking("r", ("request.body.x", "a"))).governance.wants_body(call())
    assert not policy(rule("r", block=True)).governance.wants_body(call())


@pytest.mark.parametrize(
    "regex_config",
    [
        "text",
        {"conditions": []},
        7,
        ["text"],
        [{}],
        [{"conditions": 7}],
        [{"conditions": [None]}],
        [{"conditions": [{"path": ROUTE}]}],
        [{"conditions": [{"value": "a"}]}],
        [{"conditions": [{"path": 7, "value": "a"}]}],
        [{"conditions": [{"path": ROUTE, "value": ["a"]}]}],
        [{"conditions": [{"path": ROUTE, "value": "a" * 5_000}]}],
        [{"conditions": [{"path": ROUTE, "value": "(?P<a"}]}],
    ],
)
def test_a_rule_whose_conditions_cannot_be_read_lets_calls_pass(regex_config: object):
    rules = [blocking("bad", regex_config=regex_config), blocking("good", (ROUTE, "^/b"))]

    assert blocker(rules, call(route="/a")) is None
    assert blocker(rules, call(route="/b")) == "good"
    (fault,) = policy(*rules).faults
    assert fault.startswith("rule bad: ")


def test_a_pattern_may_be_a_number():
    numeric = [{"conditions": [{"path": "request.body.x", "value": 42}]}]

    assert blocker([blocking("r", regex_config=numeric)], call(body={"x": 142})) == "r"


def test_no_pattern_is_in_a_fault():
    (fault,) = policy(blocking("r", ("request.headers.authorization", "(hunter2"))).faults

    assert "hunter2" not in fault

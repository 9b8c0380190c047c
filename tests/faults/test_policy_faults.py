"""Faults of the published package in sampling and governance: none of them is here."""

import json

import pytest
from lab.policies import blocked, blocker, call, decided, entry, in_cohort, policy
from lab.rules import blocking, rule

ROUTE = "request.route"


def test_optional_keys_of_rules_may_be_missing():
    """C1: a user rule as documented was a KeyError, and the regex rules after it were lost."""
    documented = {"_id": "documented", "type": "user", "block": True, "response": {"status": 403}}
    bare = {"_id": "bare", "type": "regex", "block": True}

    assert blocker([documented, bare]) == "bare"
    assert blocker([documented, bare], user="u1", config=in_cohort("u1", "documented")) == "documented"
    assert policy(documented).faults == ()


def test_a_cohort_may_name_a_rule_that_is_gone():
    """C2: a KeyError, and the client got a 500."""
    config = in_cohort("u1", "gone", "here")

    assert blocker([blocking("here", kind="user")], user="u1", config=config) == "here"


def test_a_rule_that_does_not_match_hides_no_rule_after_it():
    """C3: the first of a user's rules that did not match was the last that was looked at."""
    rules = [blocking("A", (ROUTE, "^/a"), kind="user"), blocking("B", (ROUTE, "^/b"), kind="user")]

    assert blocker(rules, call(route="/b"), user="u1", config=in_cohort("u1", "A", "B")) == "B"


def test_a_rule_for_outsiders_spares_every_member_of_its_cohort():
    """C4: whoever was also in the cohort of a rule that does not match was taken for an outsider."""
    rules = [
        blocking("A", (ROUTE, "^/a"), kind="user"),
        blocking("B", kind="user", applied_to="not_matching"),
    ]

    assert decided(rules, call(route="/b"), user="u1", config=in_cohort("u1", "A", "B")) is None
    assert blocker(rules, call(route="/b"), user="u2", config=in_cohort("u1", "A", "B")) == "B"


def test_a_list_in_a_body_is_written_with_its_values():
    """C5: it became an iterator, which JSON cannot hold, and the client got a 500."""
    response = {"status": 403, "body": {"errors": ["{{0}} is blocked", 7]}}
    listed = rule("r", kind="user", block=True, response=response, variables=[{"name": "0"}])

    block = blocked([listed], user="u1", config=in_cohort("u1", ("r", {"0": "Ada"})))

    assert block is not None
    assert json.loads(block.body) == {"errors": ["Ada is blocked", 7]}


@pytest.mark.parametrize(("amount", "matches"), [(1000, True), (10, False), (True, False), (None, False)])
def test_a_field_of_the_body_may_be_no_text(amount: object, matches: bool):
    """C6: a number there was a TypeError."""
    rules = [blocking("r", ("request.body.amount", r"^\d{4,}$"))]

    assert (blocker(rules, call(body={"amount": amount})) == "r") is matches


@pytest.mark.parametrize("path", ["request.ip", "request.ip_address"])
def test_a_rule_finds_the_client_under_both_names(path: str):
    """C7: rules in the wild use request.ip_address, which was never there."""
    rules = [blocking("r", (path, r"^203\.0\.113\."))]

    assert blocker(rules, call(ip="203.0.113.9")) == "r"
    assert blocker(rules, call(ip="198.51.100.1")) is None


def test_a_rule_on_the_route_sees_the_path():
    """C8: it saw the whole URI, so that nothing anchored at the beginning ever matched."""
    rules = [blocking("r", (ROUTE, "^/a$"))]

    assert blocker(rules, call(route="/a")) == "r"


def test_a_bad_pattern_costs_its_own_rule_only():
    """C9: one unbalanced bracket, and all regex rules were off."""
    rules = [blocking("bad", (ROUTE, "(")), blocking("good", (ROUTE, "^/a"))]

    assert blocker(rules, call(route="/a")) == "good"
    (fault,) = policy(*rules).faults
    assert fault.startswith("rule bad: its pattern cannot be used")


def test_an_empty_user_id_is_nobody():
    """C10: only null was, so that rules for unidentified users did not apply."""
    rules = [blocking("nobody", kind="user", applied_to_unidentified=True)]

    assert blocker(rules, user="") == "nobody"
    assert blocker(rules, user=None) == "nobody"
    assert blocker(rules, user="u1") is None


def test_the_rate_of_a_user_is_not_raised_by_a_pattern():
    """C11: the first pattern beat the user's rate; the documentation says the lower of both."""
    config = {
        "user_sample_rate": {"u1": 0},
        "regex_config": [entry((ROUTE, "^/a"), sample_rate=100)],
    }

    assert policy(config=config).sampling.rate(call(route="/a"), "u1", None) == 0
    assert policy(config=config, first_match=True).sampling.rate(call(route="/a"), "u1", None) == 100


def test_a_pattern_may_look_at_a_header_or_at_nothing_known():
    """C12: any path beyond four was a KeyError, and everything was kept."""
    config = {
        "sample_rate": 7,
        "regex_config": [
            entry(("request.nothing", "."), sample_rate=1),
            entry(("request.headers.X-Probe", "yes"), sample_rate=2),
        ],
    }
    sampling = policy(config=config).sampling

    assert sampling.rate(call(headers={"x-probe": "yes"}), None, None) == 2
    assert sampling.rate(call(), None, None) == 7


def test_two_conditions_on_one_path_are_both_tested():
    """C13: of two conditions on the route, only the last was."""
    twice = (ROUTE, "^/a/"), (ROUTE, "/b$")
    sampling = policy(config={"regex_config": [entry(*twice, sample_rate=5)]}).sampling

    assert sampling.rate(call(route="/x/b"), None, None) == 100
    assert sampling.rate(call(route="/a/b"), None, None) == 5
    assert blocker([blocking("r", *twice)], call(route="/x/b")) is None

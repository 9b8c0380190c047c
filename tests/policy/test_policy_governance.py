"""Governance: which rules apply to whom, and which of them has the last word."""

import json
from typing import Any

import pytest
from lab.policies import blocked, blocker, call, decided, in_cohort, policy
from lab.rules import adding, blocking, rule

from moesifasgi.policy.identity import UNKNOWN
from moesifasgi.policy.policy import NO_POLICY

ROUTE = ("request.route", "^/a")


def headers_of(*rules: Any, **who: Any) -> dict[bytes, bytes] | None:
    verdict = decided(rules, **who)
    return dict(verdict.headers) if verdict else None


def test_without_a_policy_nothing_is_decided():
    governance = NO_POLICY.governance

    assert (governance.empty, governance.by_user, governance.by_company) == (True, False, False)
    assert governance.decide(call(), "u1", "acme") is None
    assert NO_POLICY.sampling.everything
    assert NO_POLICY.faults == NO_POLICY.parked() == ()


def test_users_have_the_last_word_then_companies_then_patterns():
    rules = [
        blocking("user", kind="user"),
        blocking("company", kind="company"),
        blocking("regex"),
    ]
    config = in_cohort("u1", "user") | in_cohort("acme", "company", kind="company")

    assert blocker(rules, user="u1", company="acme", config=config) == "user"
    assert blocker(rules, user="u2", company="acme", config=config) == "company"
    assert blocker(rules, user="u2", company="other", config=config) == "regex"


def test_of_one_kind_the_last_rule_that_blocks_wins():
    rules = [blocking("first"), blocking("second", body={"from": "second"}), rule("passing", block=False)]

    block = blocked(rules)

    assert block is not None
    assert (block.rule_id, json.loads(block.body)) == ("second", {"from": "second"})


def test_of_a_users_entries_the_last_one_wins():
    rules = [blocking("A", kind="user"), blocking("B", kind="user")]

    assert blocker(rules, user="u1", config=in_cohort("u1", "B", "A")) == "A"
    assert blocker(rules, user="u1", config=in_cohort("u1", "A", "B")) == "B"


def test_a_rule_that_does_not_block_adds_its_headers():
    assert headers_of(adding("r", headers={"X-Notice": "soon"})) == {b"x-notice": b"soon"}
    assert headers_of(adding("r", ROUTE, headers={"X-Notice": "soon"})) is None


def test_headers_are_overridden_one_by_one():
    config = in_cohort("u1", "user") | in_cohort("acme", "company", kind="company")
    rules = [
        adding("user", kind="user", headers={"X-USER": "user", "X-all": "user"}),
        adding("company", kind="company", headers={"x-user": "company", "X-All": "company"}),
        adding("regex", headers={"X-User": "regex", "x-all": "regex", "X-Regex": "regex"}),
    ]

    assert headers_of(*rules, user="u1", company="acme", config=config) == {
        b"x-user": b"user",
        b"x-all": b"user",
        b"x-regex": b"regex",
    }


def test_a_blocked_response_has_the_headers_of_all_rules_that_apply():
    rules = [blocking("b"), adding("r", headers={"X-Notice": "soon"})]

    verdict = decided(rules)

    assert verdict is not None
    assert verdict.headers == []
    assert verdict.block is not None
    assert dict(verdict.block.headers)[b"x-notice"] == b"soon"


def test_a_member_of_the_cohort_is_governed_and_others_are_not():
    rules, config = [blocking("r", kind="user")], in_cohort("u1", "r")

    assert blocker(rules, user="u1", config=config) == "r"
    assert blocker(rules, user="u2", config=config) is None
    assert blocker(rules, user=None, config=config) is None


def test_a_rule_for_outsiders_is_for_all_but_its_cohort():
    rules, config = [blocking("r", kind="user", applied_to="not_matching")], in_cohort("u1", "r")

    assert blocker(rules, user="u1", config=config) is None
    assert blocker(rules, user="u2", config=config) == "r"
    assert blocker(rules, user="u2", config={}) == "r"
    assert blocker(rules, user=None, config=config) is None


def test_an_outsider_is_one_also_who_is_in_another_cohort():
    rules = [blocking("A", kind="user"), blocking("B", kind="user", applied_to="not_matching")]

    assert blocker(rules, user="u1", config=in_cohort("u1", "A")) == "B"


@pytest.mark.parametrize("applied_to", ["matching", "not_matching"])
def test_nobody_is_governed_only_by_rules_that_say_so(applied_to: str):
    saying = blocking("r", kind="company", applied_to=applied_to, applied_to_unidentified=True)

    assert blocker([saying]) == "r"
    assert blocker([saying | {"applied_to_unidentified": False}]) is None


def test_of_whom_nothing_is_known_only_patterns_decide():
    every_kind = [
        blocking("regex"),
        blocking("cohort", kind="user"),
        blocking("outsiders", kind="user", applied_to="not_matching"),
        blocking("nobody", kind="user", applied_to_unidentified=True),
    ]
    config = in_cohort("u1", "cohort")

    assert blocker(every_kind, user=UNKNOWN, company=UNKNOWN, config=config) == "regex"
    assert blocker(every_kind[1:], user=UNKNOWN, company=UNKNOWN, config=config) is None


def test_a_user_unknown_does_not_keep_the_company_from_its_rules():
    rules = [blocking("r", kind="company")]
    config = in_cohort("acme", "r", kind="company")

    assert blocker(rules, user=UNKNOWN, company="acme", config=config) == "r"


def test_a_users_rule_is_not_found_by_a_companys_id():
    rules = [blocking("r", kind="user")]

    assert blocker(rules, company="x", config=in_cohort("x", "r", kind="company")) is None


def test_conditions_hold_for_rules_of_every_kind():
    rules = [
        blocking("member", ROUTE, kind="user"),
        blocking("outsider", ROUTE, kind="user", applied_to="not_matching"),
        blocking("nobody", ROUTE, kind="user", applied_to_unidentified=True),
    ]
    config = in_cohort("u1", "member", "outsider")
    expected = {"u1": "member", "u2": "outsider", None: "nobody"}

    for user, rule_id in expected.items():
        assert blocker(rules, call(route="/a"), user=user, config=config) == rule_id
        assert blocker(rules, call(route="/b"), user=user, config=config) is None


def test_ids_are_compared_as_text():
    rules = [blocking("r", kind="user") | {"_id": 7}]
    config = {"user_rules": {12: [{"rules": 7}]}}

    assert blocker(rules, user="12", config=config) == "7"


@pytest.mark.parametrize(
    ("rules", "config", "by_user", "by_company"),
    [
        ([blocking("r")], {}, False, False),
        ([blocking("r", kind="user")], {}, False, False),
        ([blocking("r", kind="user")], in_cohort("u1", "gone"), False, False),
        ([blocking("r", kind="user")], in_cohort("u1", "r"), True, False),
        ([blocking("r", kind="user", applied_to_unidentified=True)], {}, True, False),
        ([blocking("r", kind="company", applied_to="not_matching")], {}, False, True),
    ],
)
def test_who_it_is_matters_only_where_a_rule_could_apply(
    rules: list[Any], config: object, by_user: bool, by_company: bool
):
    governance = policy(*rules, config=config).governance

    assert (governance.by_user, governance.by_company) == (by_user, by_company)
    assert governance.empty is (rules[0]["type"] != "regex" and not (by_user or by_company))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (None, "rule number 1 should be an object"),
        ("text", "rule number 1 should be an object"),
        ({"type": "regex", "block": True}, "rule number 1 has no _id"),
        ({"_id": [], "type": "regex", "block": True}, "rule number 1 has no _id"),
        ({"_id": "x", "block": True}, "rule x: its type should be regex, user or company"),
        ({"_id": "x", "type": [], "block": True}, "rule x: its type should be regex, user or company"),
        ({"_id": "x", "type": "regex", "block": "false"}, "rule x: block should be true or false"),
        (
            {"_id": "x", "type": "user", "block": True, "applied_to_unidentified": "no"},
            "rule x: applied_to_unidentified should be true or false",
        ),
    ],
)
def test_a_rule_that_cannot_be_read_lets_calls_pass_and_is_said(bad: object, said: str):
    compiled = policy(adding("good", headers={"X-Good": "1"}), bad)
    verdict = compiled.governance.decide(call(), None, None)

    assert said in compiled.faults
    assert verdict is not None
    assert verdict.block is None
    assert verdict.headers == [(b"x-good", b"1")]


@pytest.mark.parametrize("members", [7, ["u1"], {"u1": 7}, {"u1": "r"}, {"u1": [7]}, {"u1": {"rules": "r"}}])
def test_cohorts_that_cannot_be_read_are_said_without_an_id(members: object):
    (fault,) = policy(blocking("r", kind="user"), config={"user_rules": members}).faults

    assert "user_rules" in fault
    assert "u1" not in fault


def test_the_values_of_the_last_entry_of_a_rule_count():
    rules = [
        adding("A", kind="user", headers={"X-By": "{{0}}"}, variables=[{"name": "0"}]),
        adding("B", kind="user", headers={"X-By": "B"}),
    ]
    config = in_cohort("u1", ("A", {"0": "old"}), "B", ("A", {"0": "new"}))

    assert headers_of(*rules, user="u1", config=config) == {b"x-by": b"new"}
    config = in_cohort("u1", ("A", {"0": "old"}), "A")
    assert headers_of(*rules, user="u1", config=config) == {b"x-by": b"old"}


@pytest.mark.parametrize("written", ["not_matching", "Not_Matching", "NOT_MATCHING"])
def test_to_whom_a_rule_applies_may_be_written_in_any_letters(written: str):
    rules = [blocking("r", kind="user", applied_to=written)]

    assert blocker(rules, user="outsider", config=in_cohort("member", "r")) == "r"
    assert blocker(rules, user="member", config=in_cohort("member", "r")) is None


@pytest.mark.parametrize("written", ["", "everybody", "not matching", 7, True, ["not_matching"]])
def test_a_rule_that_does_not_say_to_whom_it_applies_is_left_out_and_said(written: object):
    rules = [blocking("r", kind="user", applied_to=written), blocking("other")]

    for user in ("member", "outsider"):
        assert blocker(rules, user=user, config=in_cohort("member", "r")) == "other"
    assert policy(*rules).faults == ("rule r: its applied_to should be matching or not_matching",)

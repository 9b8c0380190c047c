"""A policy is made of whatever the collector answered: it never raises, and what it says stays bounded."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.policies import call, policy
from lab.rules import blocking, rule

from moesifasgi.policy.faults import MAX_CHARACTERS, MAX_LINES
from moesifasgi.policy.governance import Block, Verdict
from moesifasgi.policy.identity import UNKNOWN
from moesifasgi.policy.policy import MAX_RULES, Policy

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
IDS = st.sampled_from(["r1", "r2", "u1", "acme", ""])


def nearly(shape: dict[str, Any]) -> Any:
    """An object of this shape in which any key may be missing or hold anything."""
    return st.fixed_dictionaries({}, optional={key: value | JSON for key, value in shape.items()})


PATTERNS = st.sampled_from(["", "/", "^/a", "(", "(a+)+$", ".*x", "{{", "\\"])
PATHS = st.sampled_from(
    [
        "request.verb",
        "request.route",
        "request.ip",
        "request.body.x",
        "response.status",
        "request.headers.h",
        "x",
    ]
)
ENTRY = nearly(
    {
        "conditions": st.lists(nearly({"path": PATHS, "value": PATTERNS}), max_size=2),
        "sample_rate": st.floats() | st.integers(),
    }
)
TEXTS = st.sampled_from(["{{0}}", "{{0|d}}", "text", "a\r\nb", "日"])
RULE = nearly(
    {
        "_id": IDS,
        "type": st.sampled_from(["regex", "user", "company"]),
        "block": st.booleans(),
        "applied_to": st.sampled_from(["matching", "not_matching"]),
        "applied_to_unidentified": st.booleans(),
        "regex_config": st.lists(ENTRY, max_size=2),
        "variables": st.lists(nearly({"name": st.just("0")}), max_size=2),
        "response": nearly(
            {
                "status": st.integers(100, 700),
                "headers": st.dictionaries(st.sampled_from(["X-A", "a b", "Content-Length"]), TEXTS | JSON),
                "body": TEXTS | st.lists(TEXTS, max_size=2) | st.dictionaries(TEXTS, TEXTS, max_size=2),
            }
        ),
    }
)
COHORTS = st.dictionaries(
    IDS, st.lists(nearly({"rules": IDS, "values": st.dictionaries(st.just("0"), JSON)}), max_size=2) | JSON
)
RATES = st.dictionaries(IDS, st.floats() | JSON, max_size=2)
CONFIG = nearly(
    {
        "sample_rate": st.floats() | st.integers(),
        "user_sample_rate": RATES,
        "company_sample_rate": RATES,
        "regex_config": st.lists(ENTRY, max_size=2),
        "user_rules": COHORTS,
        "company_rules": COHORTS,
    }
)
DOCUMENT = JSON | nearly({"config": CONFIG, "rules": st.lists(RULE, max_size=4)})
IDENTITY = st.none() | IDS | st.just(UNKNOWN)


@given(DOCUMENT, IDENTITY, IDENTITY, JSON)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_document_makes_a_policy_that_decides(document: Any, user: Any, company: Any, body: object):
    compiled = Policy.compile(document, clock=lambda: 0.0)
    facts = call("POST", "/a", headers={"h": "v"}, body=body, status=200)

    assert 0.0 <= compiled.sampling.rate(facts, user, company) <= 100.0
    assert isinstance(compiled.governance.wants_body(call()), bool)
    _check(compiled.governance.decide(facts, user, company))
    assert len(compiled.faults) <= MAX_LINES
    assert all(0 < len(line) <= MAX_CHARACTERS and line.isprintable() for line in compiled.faults)


def _check(verdict: Verdict | None) -> None:
    if verdict is None:
        return
    assert (verdict.block is None) is bool(verdict.headers)
    for name, value in verdict.block.headers if verdict.block else verdict.headers:
        assert name == name.lower()
        assert name
        assert not set(value) & set(b"\r\n\0")
    if verdict.block:
        assert 200 <= verdict.block.status <= 599
        assert [type(part) for part in verdict.block] == [int, list, bytes, str]
        assert isinstance(verdict.block, Block)


def test_rules_beyond_the_limit_are_left_out_and_said():
    compiled = policy(*[blocking(f"r{number}") for number in range(MAX_RULES + 1)])

    verdict = compiled.governance.decide(call(), None, None)

    assert verdict is not None
    assert verdict.block is not None
    assert verdict.block.rule_id == f"r{MAX_RULES - 1}"
    assert compiled.faults == (f"only the first {MAX_RULES} of {MAX_RULES + 1} rules are used",)


def test_faults_beyond_the_limit_are_counted():
    faults = policy(*[None] * 200).faults

    assert len(faults) == MAX_LINES
    assert faults[0] == "rule number 0 should be an object"
    assert faults[-1] == f"and {200 - MAX_LINES + 1} more"


@pytest.mark.parametrize("name", ["x" * 10_000, "a\nb", "\x1b[31m", "\ud800"])
def test_a_fault_is_one_short_printable_line(name: str):
    (fault,) = policy({"_id": name, "type": "none"}).faults

    assert fault.isprintable()
    assert len(fault) <= MAX_CHARACTERS


@pytest.mark.parametrize("document", [None, [], "text", 7, {}, {"config": None, "rules": None}])
def test_what_is_no_document_is_no_policy(document: Any):
    compiled = Policy.compile(document, clock=lambda: 0.0)

    assert compiled.governance.empty
    assert compiled.sampling.everything


def test_a_very_deep_body_is_no_problem():
    deep: Any = "{{0}}"
    for _ in range(5_000):
        deep = [deep]
    compiled = policy(rule("r", block=True, response={"body": deep}, variables=[{"name": "0"}]))

    assert compiled.governance.decide(call(), None, None) is not None

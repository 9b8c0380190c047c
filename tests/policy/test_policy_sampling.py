"""Sampling: which rate a call gets, and what an event weighs."""

import random
from typing import Any

import pytest
from lab.policies import call, entry, policy

from moesifasgi.policy.identity import UNKNOWN, Identity
from moesifasgi.policy.sampling import weight_of

RATES = {
    "sample_rate": 90,
    "user_sample_rate": {"u1": 50},
    "company_sample_rate": {"acme": 40, "all": 100},
    "regex_config": [
        entry(("request.route", "^/few"), sample_rate=10),
        entry(("request.route", "^/f"), sample_rate=1),
        entry(("request.route", "^/many"), sample_rate=70),
    ],
}


def rate(
    config: object, route: str = "/", user: Identity = None, company: Identity = None, **more: bool
) -> float:
    return policy(config=config, **more).sampling.rate(call(route=route), user, company)


@pytest.mark.parametrize(
    ("route", "user", "company", "documented", "first_match"),
    [
        ("/", None, None, 90, 90),
        ("/", "u2", "other", 90, 90),
        ("/", "u1", None, 50, 50),
        ("/", None, "acme", 40, 40),
        ("/", "u1", "acme", 50, 50),
        ("/few", None, None, 10, 10),
        ("/f", None, None, 1, 1),
        ("/few", "u1", "acme", 10, 10),
        ("/many", "u1", "acme", 50, 70),
        ("/many", None, None, 70, 70),
        ("/many", None, "all", 70, 70),
        ("/", None, "all", 100, 100),
        ("/", UNKNOWN, "acme", 40, 40),
        ("/", UNKNOWN, UNKNOWN, 90, 90),
        ("/", "", "", 90, 90),
    ],
)
def test_the_rate_follows_the_documented_rule_or_that_of_the_published_package(
    route: str, user: Identity, company: Identity, documented: float, first_match: float
):
    assert rate(RATES, route, user, company) == documented
    assert rate(RATES, route, user, company, first_match=True) == first_match


def test_ids_are_text_on_both_sides():
    """A20: an id that was a number never found its rate."""
    assert rate({"user_sample_rate": {12: 5}}, user="12") == 5
    assert rate({"company_sample_rate": {"12": 5}}, company="12") == 5


def test_an_empty_id_in_the_config_is_for_nobody():
    assert rate({"sample_rate": 90, "user_sample_rate": {"": 5}}, user="") == 90


@pytest.mark.parametrize(
    ("written", "used"),
    [(0, 0), (100, 100), (12.5, 12.5), (-3, 0), (250, 100), ("30", 30), (" 30 ", 30), (10**30, 100)],
)
def test_rates_are_kept_between_0_and_100(written: object, used: float):
    assert rate({"sample_rate": written}) == used
    assert rate({"user_sample_rate": {"u1": written}}, user="u1") == used
    assert rate({"regex_config": [entry(("request.route", ""), sample_rate=written)]}) == used


@pytest.mark.parametrize("junk", [True, "", "many", [], {}, float("nan"), float("inf"), "nan"])
def test_a_rate_that_is_no_number_is_left_out_and_said(junk: object):
    for config in (
        {"sample_rate": junk},
        {"user_sample_rate": {"u1": junk}},
        {"company_sample_rate": {"acme": junk}},
        {"regex_config": [entry(("request.route", ""), sample_rate=junk)]},
    ):
        assert rate(config, user="u1", company="acme") == 100
        (fault,) = policy(config=config).faults
        assert "u1" not in fault


@pytest.mark.parametrize("config", [None, {}, dict.fromkeys(RATES), [], "text", 7])
def test_without_rates_everything_is_kept(config: Any):
    sampling = policy(config=config).sampling

    assert sampling.everything
    assert sampling.rate(call(), "u1", "acme") == 100


@pytest.mark.parametrize("key", ["user_sample_rate", "company_sample_rate", "regex_config"])
@pytest.mark.parametrize("junk", [7, "text", True])
def test_a_map_or_list_that_is_none_is_said(key: str, junk: object):
    assert rate({key: junk, "sample_rate": 30}, user="u1") == 30
    assert key in policy(config={key: junk}).faults[0]


def test_a_faulty_entry_costs_itself_only():
    config = {
        "regex_config": [
            None,
            {},
            entry(("request.route", "("), sample_rate=1),
            entry(("request.route", "/")),
            entry(sample_rate=2),
            entry(("request.route", "/"), sample_rate=3),
        ]
    }

    assert rate(config) == 3
    faults = policy(config=config).faults
    assert [fault.partition(":")[0] for fault in faults] == [f"sampling entry number {n}" for n in range(4)]


@pytest.mark.parametrize(
    ("config", "true"),
    [
        ({}, {"everything"}),
        ({"sample_rate": 100, "user_sample_rate": {"u1": 100}}, {"everything", "by_user"}),
        ({"sample_rate": 99}, set()),
        ({"user_sample_rate": {"u1": 1}}, {"by_user"}),
        ({"company_sample_rate": {"acme": 1}}, {"by_company"}),
        ({"regex_config": [entry(("request.verb", "GET"), sample_rate=1)]}, set()),
        ({"regex_config": [entry(("response.status", "5"), sample_rate=1)]}, {"by_status"}),
        ({"regex_config": [entry(("request.body.x", "5"), sample_rate=1)]}, {"by_body"}),
    ],
)
def test_it_says_what_the_rate_depends_on(config: object, true: set[str]):
    sampling = policy(config=config).sampling
    flags = ("everything", "by_user", "by_company", "by_status", "by_body")

    assert {flag for flag in flags if getattr(sampling, flag)} == true


def test_all_that_a_pattern_may_look_at():
    config = {
        "regex_config": [
            entry(("response.status", "^5"), ("request.verb", "GET"), sample_rate=1),
            entry(("request.ip", "^203"), sample_rate=2),
            entry(("request.body.operationName", "^get"), sample_rate=3),
        ]
    }
    sampling = policy(config=config).sampling

    assert sampling.rate(call(status=503), None, None) == 1
    assert sampling.rate(call("POST", status=503), None, None) == 100
    assert sampling.rate(call(ip="203.0.113.9"), None, None) == 2
    assert sampling.rate(call(body={"operationName": "getUser"}), None, None) == 3
    assert sampling.rate(call(), None, None) == 100


@pytest.mark.parametrize("percent", [100, 50, 30, 12.5, 7, 3, 1, 0.5])
def test_weights_add_up_to_all_calls_whatever_the_rate(percent: float):
    """Rounding down counts 10 % too few at a rate of 30."""
    chance = random.Random(7)
    kept = 20_000

    total = sum(weight_of(percent, chance.random) for _ in range(kept))

    assert total / kept == pytest.approx(100 / percent, rel=0.01)


@pytest.mark.parametrize("percent", [0, -1, 100, 101])
def test_what_is_kept_always_or_never_weighs_one(percent: float):
    assert weight_of(percent, lambda: 0.0) == 1

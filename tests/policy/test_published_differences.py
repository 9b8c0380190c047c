"""Where the published package and this one differ beyond C1 to C13, and which documented rule wins."""

import pytest
from lab.policies import Json, call, entry, in_cohort, policy
from lab.published_decisions import comparable, published_rate, published_response, published_verdict
from lab.rules import blocking, rule


def test_a_map_of_cohorts_may_be_null():
    """Any key of the config may be null (section 2.1 of the contract)."""
    rules, config = [complete(blocking("r"))], {"user_rules": None, "company_rules": None}

    with pytest.raises(AttributeError):
        published_verdict(rules, config, {}, "u1")
    assert policy(*rules, config=config).governance.decide(call(), "u1", None) is not None


def test_an_empty_match_is_a_match_for_sampling():
    """A condition holds if the pattern is found; the published package wants to see letters of it."""
    config = {"regex_config": [entry(("request.route", "^"), sample_rate=5)]}

    assert published_rate(config, {"request.route": "/a"}) == 100
    assert policy(config=config).sampling.rate(call(route="/a"), None, None) == 5


def test_a_value_that_is_there_but_empty_is_searched():
    """Searched as in the Node package; for the published one, nothing matches it."""
    rules, request = [complete(blocking("r", ("request.headers.X-Plan", "^$")))], {"x-plan": ""}

    published = published_verdict(rules, {}, {"request.headers.X-Plan": ""})

    assert published == {"headers": {}}
    assert policy(*rules).governance.decide(call(headers=request), None, None) is not None


def test_a_default_of_a_merge_tag_stands_in_for_a_missing_value():
    """``{{name|default}}`` (section 2.6 of the contract): the published package leaves it as it is."""
    rules = [complete(rule("r", response={"headers": {"X-To": "{{0|you}}"}}, variables=[{"name": "0"}]))]

    assert published_verdict(rules, {}, {}) == {"headers": {"x-to": "{{0|you}}"}}
    assert comparable(policy(*rules).governance.decide(call(), None, None)) == {"headers": {"x-to": "you"}}


def test_a_tag_that_is_no_variable_of_the_rule_is_unknown():
    """A missing value becomes UNKNOWN (section 2.6): the published package looks for declared names only."""
    rules = [complete(rule("r", response={"headers": {"X-To": "{{1}}"}}, variables=[{"name": "0"}]))]

    assert published_verdict(rules, {}, {}) == {"headers": {"x-to": "{{1}}"}}
    assert comparable(policy(*rules).governance.decide(call(), None, None)) == {
        "headers": {"x-to": "UNKNOWN"}
    }


def test_a_value_of_a_merge_tag_may_be_a_number():
    """As with C6: what JSON holds need not be text."""
    response = {"headers": {"X-Left": "{{0}}"}}
    rules = [complete(rule("r", kind="user", response=response, variables=[{"name": "0"}]))]
    config = in_cohort("u1", ("r", {"0": 3}))

    assert published_verdict(rules, config, {}, "u1") == {"headers": {}}
    assert comparable(policy(*rules, config=config).governance.decide(call(), "u1", None)) == {
        "headers": {"x-left": "3"}
    }


def test_a_blocking_rule_may_have_no_body():
    """As with C1: a key may be absent. The published package says who blocked, but not with what status."""
    bare = complete(blocking("r"))
    del bare["response"]["body"]

    published = published_verdict([bare], {}, {})
    verdict = policy(bare).governance.decide(call(), None, None)

    assert published["status"] is None
    assert verdict is not None
    assert verdict.block is not None
    assert (verdict.block.status, verdict.block.body) == (403, b"null")


def test_header_names_are_the_same_in_any_letters():
    """Later overrides earlier, key by key; in HTTP these are one key. The published package sends both."""
    rules = [
        complete(rule("a", response={"headers": {"X-By": "a"}})),
        complete(rule("b", response={"headers": {"x-by": "b"}})),
    ]
    response = published_response(rules, {}, {})

    assert response["headers"] == {"X-By": "a", "x-by": "b"}
    assert comparable(policy(*rules).governance.decide(call(), None, None)) == {"headers": {"x-by": "b"}}


def complete(made: Json) -> Json:
    """With the keys that the published package cannot be without (C1)."""
    return {"applied_to": "matching", "applied_to_unidentified": False, "regex_config": [], **made}

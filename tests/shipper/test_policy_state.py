"""What is known of one application's policy, by plain numbers for times."""

from math import inf
from typing import Any

from moesifasgi.shipper.freshness import Failed, PolicyPace
from moesifasgi.shipper.policy_request import Fetched, Part
from moesifasgi.shipper.policy_state import PolicyState
from moesifasgi.wire.application import Application
from moesifasgi.wire.policy_document import pack_part, unpack

APPLICATION = Application("an-application-id")
PACE = PolicyPace()
REGEX = {"_id": "r", "type": "regex"}


def learned(kept: bytes | None = None) -> PolicyState:
    state = PolicyState(PACE, 0.0, kept)
    state.learn(APPLICATION, 0.0)
    return state


def take(state: PolicyState, part: Part, value: Any, tag: str | None = "t", now: float = 1.0) -> None:
    state.take(part, Fetched(pack_part(value), tag), now, 0.5)


def in_force(state: PolicyState) -> Any:
    return None if state.document is None else unpack(state.document)


def test_nothing_is_asked_before_a_worker_has_come_nor_while_a_request_is_under_way() -> None:
    state = PolicyState(PACE, 0.0)
    assert state.due_at == inf
    state.learn(APPLICATION, 0.0)
    assert state.due_at == 0.0
    assert state.due(0.0) == [(Part.CONFIG, None), (Part.RULES, None)]
    state.in_flight = True
    assert state.due_at == inf


def test_either_part_makes_a_document_with_the_other_empty() -> None:
    state = learned()
    assert in_force(state) is None
    take(state, Part.RULES, [REGEX])
    assert in_force(state) == {"config": {}, "rules": [REGEX]}
    take(state, Part.CONFIG, {"sample_rate": 1})
    assert in_force(state) == {"config": {"sample_rate": 1}, "rules": [REGEX]}
    other = learned()
    take(other, Part.CONFIG, {"sample_rate": 1})
    assert in_force(other) == {"config": {"sample_rate": 1}, "rules": []}


def test_before_a_configuration_was_had_no_rule_about_users_or_companies_is_in_force() -> None:
    """It says who is in the cohort: a rule for those outside would meet those inside, too."""
    state = learned()
    rules = [
        REGEX,
        *({"_id": kind, "type": kind, "applied_to": "not_matching"} for kind in ("user", "company")),
    ]
    take(state, Part.RULES, [*rules, 7, {"_id": "x", "type": ["regex"]}])
    state.take(Part.CONFIG, Failed("503"), 1.0, 0.5)
    assert in_force(state) == {"config": {}, "rules": [REGEX]}
    words = "without configuration, so without rules about users and companies"
    assert state.status(1.0)["state"] == f"{words}: /v1/config: 503"
    assert learned(state.to_keep()).status(0.0)["state"] == words

    take(state, Part.CONFIG, {}, now=2.0)
    assert in_force(state)["rules"][:3] == rules
    state.take(Part.CONFIG, Failed("503"), 3.0, 0.5)
    assert in_force(state)["rules"][:3] == rules
    assert in_force(learned(state.to_keep()))["rules"][:3] == rules
    assert state.status(3.0)["state"] == "stale: /v1/config: 503"


def test_a_part_that_is_confirmed_stays_as_it_is() -> None:
    state = learned()
    take(state, Part.CONFIG, {"sample_rate": 1})
    state.take(Part.CONFIG, Fetched(None, "t"), 2.0, 0.5)
    assert in_force(state) == {"config": {"sample_rate": 1}, "rules": []}


def test_only_the_part_whose_tag_is_news_is_due() -> None:
    state = learned()
    take(state, Part.CONFIG, {}, "c")
    take(state, Part.RULES, [], "r")
    state.named(("c", "r2"), 100.0)
    assert state.due(100.0) == [(Part.RULES, "r")]
    state.named((None, None), 100.0)
    assert state.due(100.0) == [(Part.RULES, "r")]


def test_an_older_policy_of_a_lagging_node_is_not_put_in_force() -> None:
    state = learned()
    take(state, Part.CONFIG, {"sample_rate": 1}, "older", now=1.0)
    take(state, Part.CONFIG, {"sample_rate": 2}, "newer", now=400.0)
    take(state, Part.CONFIG, {"sample_rate": 1}, "older", now=800.0)
    assert in_force(state)["config"] == {"sample_rate": 2}


def test_what_is_kept_comes_back_with_its_tags() -> None:
    state = learned()
    take(state, Part.CONFIG, {"sample_rate": 1}, "c")
    again = learned(state.to_keep())
    assert again.document == state.document
    assert again.due(0.0) == [(Part.CONFIG, "c"), (Part.RULES, None)]
    assert again.status(0.0)["state"] == "stale: not checked since the shipper's start"
    assert again.to_keep() == state.to_keep()


def test_the_state_in_words() -> None:
    state = PolicyState(PACE, 0.0)
    assert state.status(5.0)["next_check_in_seconds"] is None
    state.learn(APPLICATION, 0.0)
    assert state.status(0.0)["state"] == "never fetched"
    for part in Part:
        state.take(part, Failed("why"), 1.0, 0.5)
    assert state.status(1.0)["state"] == "never fetched: /v1/config: why; /v1/rules: why"
    take(state, Part.CONFIG, {}, now=2.0)
    assert state.status(2.0)["state"] == "stale: /v1/rules: why"
    assert state.status(2.0)["age_seconds"] is None
    take(state, Part.RULES, [], now=3.0)
    assert state.status(5.0)["state"] == "ok"
    assert state.status(5.0)["age_seconds"] == 3.0

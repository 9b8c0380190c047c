"""The status document: what people and monitors read of applications and their policies."""

from typing import Any

import pytest

from moesifasgi.shipper.delivery_status import status_of
from moesifasgi.shipper.health import Advice
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.status import document, policies_of
from moesifasgi.shipper.uploader import Traffic

A, OTHER_A, B = "one-AAAA", "two-AAAA", "BBBB-BBBB"
OK = {
    "state": "ok",
    "age_seconds": 2.0,
    "next_check_in_seconds": 100.0,
    "config_tag": "c",
    "rules_tag": "r",
    "rules": 3,
    "faults": [],
}


def made(policies: dict[str, dict[str, Any]], reports: dict[str, list[str]] | None = None) -> dict[str, Any]:
    delivery = status_of([], lambda _: Traffic(), 0.0, [])
    return document(MemorySpool(), delivery, policies_of(policies, reports or {}), 1.0)


def test_an_application_with_a_policy_and_no_events_yet_is_shown() -> None:
    (entry,) = made({B: OK})["applications"].values()
    assert entry["state"] == "ok"
    assert entry["requests"] == {}
    assert entry["policy"] == {**OK, "parked": []}


def test_applications_that_end_alike_are_told_apart_and_no_id_is_shown() -> None:
    status = made({A: OK, OTHER_A: OK, B: OK})
    assert list(status["applications"]) == ["…AAAA", "…AAAA'", "…BBBB"]
    assert "one-" not in str(status)


def test_what_workers_report_is_shown_with_the_policy() -> None:
    status = made({A: OK}, {A: ["r1 is parked"], B: ["of nobody"]})
    assert status["applications"]["…AAAA"]["policy"]["parked"] == ["r1 is parked"]
    assert status["notes"] == ["the policy of …AAAA: 1 parked: r1 is parked"]


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        (
            {"state": "stale: /v1/config: 401 Unauthorized"},
            f" is stale: /v1/config: 401 Unauthorized, checked 2 s ago; {Advice.POLICY.value}",
        ),
        (
            {"state": "never fetched", "age_seconds": None},
            f" is never fetched; {Advice.POLICY.value}",
        ),
        ({"faults": ["rule r1: no regex", "rule r2"]}, ": 2 faults: rule r1: no regex"),
    ],
)
def test_what_is_wrong_with_a_policy_is_a_note_and_no_illness(changed: dict[str, Any], note: str) -> None:
    """Events arrive all the same, and a restart would mend nothing."""
    status = made({A: OK | changed})
    assert status["healthy"]
    assert status["reasons"] == []
    assert status["notes"] == [f"the policy of …AAAA{note}"]


def test_a_good_policy_is_not_worth_a_note() -> None:
    assert made({A: OK})["notes"] == []

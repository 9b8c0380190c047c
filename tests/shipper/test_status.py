"""The status document: what people and monitors read of applications and their policies."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moesifasgi.quiet import Quiet
from moesifasgi.shipper.delivery_status import status_of
from moesifasgi.shipper.health import Advice
from moesifasgi.shipper.spool import Chunk, Item, Lane, Settlement, Spool
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
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


def document_of(spool: Spool) -> dict[str, Any]:
    return document(spool, status_of([], lambda _: Traffic(), 0.0, []), {}, 1.0)


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


def opened(directory: Path) -> SqliteSpool:
    return open_spool(directory, max_bytes=1 << 30, min_free_bytes=0, durability="normal", clock=lambda: 0.0)


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spool with 30 items in 10 rows. What it says is not held back by what other tests have said."""
    quiet = Quiet(logging.getLogger("moesifasgi"))
    for module in ("database", "told"):
        monkeypatch.setattr(f"moesifasgi.shipper.spool.{module}.say", quiet.say)
    with closing(opened(tmp_path)) as spool:
        for number in range(10):
            sequences = tuple(range(3 * number + 1, 3 * number + 4))
            chunk = Chunk(Lane(A, "events"), b"s" * 16, sequences, (Item(5, b"x"),) * 3)
            spool.append([chunk], {b"s" * 16: sequences[-1]})
    return tmp_path


def change(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "spool.sqlite3")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_damaged_spool_is_told_with_what_was_saved_and_lost(
    filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(
        filled,
        "UPDATE chunks SET body = zeroblob(50) WHERE row IN (3, 7)",
        "UPDATE lanes SET events = events + 1",
    )
    said = (
        "the spool was damaged: 24 events of it were saved, 6 lost;"
        " the damaged file is spool.sqlite3.damaged-0001-19700101T000000Z"
    )
    with closing(opened(filled)) as spool:
        status = document_of(spool)
    assert (status["notes"], status["healthy"], status["reasons"]) == ([said], True, [])
    assert status["counters"]["dropped"] == {"damaged": 6}
    assert said in caplog.messages


def test_rows_that_were_damaged_are_told(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(filled, "UPDATE chunks SET body = zeroblob(50) WHERE row IN (3, 7)")
    with closing(opened(filled)) as spool:
        assert document_of(spool)["notes"] == []
        spool.peek(Lane(A, "events"), 0, 1_000)
        status = document_of(spool)
    said = "6 events were dropped: their rows in the spool were damaged"
    assert status["notes"] == [said]
    assert said in caplog.messages


@pytest.mark.parametrize("durable", [True, False])
def test_events_that_expired_are_told(filled: Path, caplog: pytest.LogCaptureFixture, durable: bool) -> None:
    spool: Spool = opened(filled) if durable else MemorySpool()
    spool.settle([Settlement(1, 1, dropped={"expired": 2}), Settlement(2, 3)])
    spool.close()
    assert "2 events were dropped: they waited for longer than Moesif takes them" in caplog.messages


def test_a_spool_that_nothing_happened_to_is_not_worth_a_note(
    filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(opened(filled)) as spool:
        assert document_of(spool)["notes"] == []
    assert caplog.messages == []

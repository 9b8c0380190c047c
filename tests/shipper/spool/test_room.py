"""The shares of a spool: how much of it one application may fill."""

import pytest

from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.spool.ledger import Change, Ledger
from moesifasgi.shipper.spool.room import SHARE, Room


def filled(room: Room, ledger: Ledger, application_id: str, size: int = 10) -> int:
    """Put pieces of ``size`` bytes in until one is refused; returns how many bytes there are then."""
    while room.refusal(ledger, Change(), application_id, size, None) is None:
        change = Change()
        change.hold(Lane(application_id, "events"), 1, size)
        ledger.post(change)
    return ledger.bytes_of(application_id)


def test_one_application_may_fill_all_of_it() -> None:
    assert filled(Room(10_000), Ledger(), "a") == 10_000


def test_each_of_several_may_fill_its_share_of_what_the_others_leave() -> None:
    room, ledger = Room(10_000), Ledger()
    for application_id in ("a", "b", "c"):
        room.serve(application_id)
    free = 10_000
    for application_id in ("a", "b", "c"):
        held = filled(room, ledger, application_id)
        assert held == pytest.approx(SHARE * free, abs=10)
        free -= held
    assert room.refusal(ledger, Change(), "a", 10, None) == "quota_full"


def test_the_running_transaction_counts_for_the_share() -> None:
    room, ledger, change = Room(10_000), Ledger(), Change()
    room.serve("b")
    change.hold(Lane("a", "events"), 1, 7_990)
    assert room.refusal(ledger, change, "a", 10, None) is None
    assert room.refusal(ledger, change, "a", 20, None) == "quota_full"


def test_one_that_is_not_expected_back_takes_no_share() -> None:
    room, ledger = Room(10_000), Ledger()
    room.serve("b")
    assert filled(room, ledger, "a") == 8_000
    room.leave("b")
    assert filled(room, ledger, "a") == 10_000

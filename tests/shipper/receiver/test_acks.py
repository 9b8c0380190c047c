"""When workers are told what is stored: together, soon, and sooner if it is a lot."""

import pytest

from moesifasgi.shipper.receiver.acks import INTERVAL_S, MAX_FRAMES, OwedAcks


def test_nothing_is_due_while_nothing_is_owed():
    owed = OwedAcks()

    assert owed.due_in_s(1_000.0) is None
    assert owed.settle() == {}


def test_acknowledgements_are_due_an_interval_after_the_first_that_is_owed():
    owed = OwedAcks()
    owed.add({b"a": 1}, 1, 1_000.0)
    owed.add({b"b": 1}, 1, 1_000.0 + INTERVAL_S / 2)

    assert owed.due_in_s(1_000.0 + INTERVAL_S / 2) == pytest.approx(INTERVAL_S / 2)
    assert owed.due_in_s(1_000.0 + 2 * INTERVAL_S) == 0.0


def test_they_are_due_at_once_when_many_frames_were_stored():
    owed = OwedAcks()
    owed.add({b"a": MAX_FRAMES - 1}, MAX_FRAMES - 1, 1_000.0)
    assert owed.due_in_s(1_000.0) == pytest.approx(INTERVAL_S)

    owed.add({b"b": 1}, 1, 1_000.0)
    assert owed.due_in_s(1_000.0) == 0.0


def test_each_session_is_told_its_last_sequence_once():
    owed = OwedAcks()
    owed.add({b"a": 1, b"b": 5}, MAX_FRAMES, 1_000.0)
    owed.add({b"a": 3}, 2, 1_000.0)

    assert owed.settle() == {b"a": 3, b"b": 5}
    assert owed.settle() == {}
    assert owed.due_in_s(2_000.0) is None
    owed.add({b"a": 4}, 1, 2_000.0)
    assert owed.due_in_s(2_000.0) == pytest.approx(INTERVAL_S)

"""Intake without a socket: what is taken, refused, stored and acknowledged, by a clock that tests move."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moesifasgi.shipper.intake import (
    CHUNK_ITEMS,
    COMMIT_AFTER_S,
    COMMIT_BYTES,
    MAX_WAITING_BYTES,
    STREAMS,
    Intake,
    ProtocolError,
    Session,
)
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Chunk, Lane, SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Event, Hello, Kind

SESSION = b"one worker's id."
APPLICATIONS = [Application("first"), Application("second")]
EVENTS = Lane("first", "events")


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class MoodySpool(MemorySpool):
    """A spool that refuses to store while it is told to: a full disk."""

    refuses = False

    def append(self, chunks: Sequence[Chunk], sessions: Mapping[bytes, int], **numbers: int) -> int:
        if self.refuses:
            raise SpoolError("no space left on device")
        return super().append(chunks, sessions, **numbers)


class Desk:
    """An intake over a spool, and what the spool holds of a lane."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.spool = MoodySpool(1 << 30)
        self.intake = Intake(self.spool, Registry(self.spool), self.clock)

    def greet(self, session: bytes = SESSION, base: int = 1, **changed: Any) -> Session:
        wire = [application.to_wire() for application in APPLICATIONS]
        return self.intake.greet(Hello(1, 1, session, base, os.getpid(), "0", wire)._replace(**changed))

    def take(
        self, session: Session, *sequences: int, kind: int = Kind.RECORD, key: int = 0, size: int = 1
    ) -> None:
        for sequence in sequences:
            self.intake.take(session, Event(kind, key, sequence, bytes(size)))

    def stored(self, lane: Lane = EVENTS) -> list[int]:
        return [sequence for chunk in self.spool.peek(lane, 0, 1 << 30) for sequence in chunk.sequences]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_is_taken_is_stored_by_a_commit_and_acknowledged_up_to_the_last(desk: Desk):
    session = desk.greet()
    desk.take(session, 1, 2, 3)
    assert desk.stored() == []

    assert desk.intake.commit() == {SESSION: 3}
    assert desk.stored() == [1, 2, 3]
    assert desk.intake.commit() == {}


def test_an_unknown_session_begins_at_its_own_base_and_a_known_one_after_what_is_stored(desk: Desk):
    session = desk.greet(base=40)
    assert session.last == 39
    desk.take(session, 40, 41)
    desk.intake.commit()

    assert desk.greet(base=40).last == 41


def test_what_waits_is_dropped_when_its_worker_comes_anew_and_that_sends_it_again(desk: Desk):
    older = desk.greet()
    desk.take(older, 1, 2)
    newer = desk.greet()

    assert newer.last == 0
    desk.take(newer, 1)
    assert desk.intake.commit() == {SESSION: 1}
    assert desk.stored() == [1]


def test_another_sessions_frames_stay_when_one_comes_anew(desk: Desk):
    other = b"another worker's"
    desk.take(desk.greet(), 1)
    desk.take(desk.greet(other), 1, 2)
    desk.greet()

    assert desk.intake.commit() == {other: 2}


def test_a_frame_seen_before_is_counted_and_not_stored(desk: Desk):
    session = desk.greet()
    desk.take(session, 1, 2, 2, 1, 3)
    desk.intake.commit()

    assert desk.stored() == [1, 2, 3]
    assert desk.spool.totals().duplicates == 2


def test_an_older_spool_put_back_is_seen_as_a_gap(desk: Desk):
    desk.take(desk.greet(), 1)
    desk.intake.commit()

    session = desk.greet(base=5)
    assert session.last == 4
    desk.take(session, 5)
    desk.intake.commit()
    assert desk.spool.totals().gaps == 3


@pytest.mark.parametrize(
    ("sequence", "key", "kind", "expected"),
    [
        (3, 0, Kind.RECORD, "expected sequence 2, got 3"),
        (2**64 - 1, 0, Kind.RECORD, "expected sequence 2"),
        (2, 2, Kind.RECORD, "key below 2"),
        (2, 0, 6, "unknown kind of event: 6"),
        (2, 0, 127, "unknown kind of event: 127"),
    ],
)
def test_a_frame_that_cannot_be_is_refused_and_nothing_of_it_is_taken(
    desk: Desk, sequence: int, key: int, kind: int, expected: str
):
    session = desk.greet()
    desk.take(session, 1)

    with pytest.raises(ProtocolError, match=expected):
        desk.take(session, sequence, kind=kind, key=key)
    assert desk.intake.commit() == {SESSION: 1}


@pytest.mark.parametrize(
    "changed",
    [
        {"session": b""},
        {"session": b"x" * 17},
        {"base": 0},
        {"base": -1},
        {"base": 2**63},
        {"base": 2**64 - 1},
        {"applications": [5]},
        {"applications": [None]},
        {"applications": ["application_id"]},
        {"applications": [{}]},
        {"applications": [{"application_id": "a", "batch_timeout_s": "soon"}]},
    ],
    ids=repr,
)
def test_a_worker_that_cannot_be_is_refused(desk: Desk, changed: dict[str, Any]):
    with pytest.raises((ProtocolError, ValueError)):
        desk.greet(**changed)


def test_applications_are_remembered_for_the_next_start(desk: Desk):
    desk.greet()

    assert desk.spool.applications() == APPLICATIONS


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_its_lane(desk: Desk, kind: Kind):
    desk.take(desk.greet(), 1, kind=kind, key=1)
    desk.intake.commit()

    assert desk.spool.lanes() == [Lane("second", STREAMS[kind])]


def test_a_burst_becomes_rows_of_bounded_size_in_order(desk: Desk):
    count = 2 * CHUNK_ITEMS + 1
    desk.take(desk.greet(), *range(1, count + 1))
    desk.intake.commit()

    sizes = [len(chunk.items) for chunk in desk.spool.peek(EVENTS, 0, 1 << 30)]
    assert sizes == [CHUNK_ITEMS, CHUNK_ITEMS, 1]
    assert desk.stored() == list(range(1, count + 1))


def test_a_commit_is_due_soon_after_the_first_frame_or_at_once_when_much_waits(desk: Desk):
    session = desk.greet()
    assert desk.intake.due_in_s() is None

    desk.take(session, 1)
    assert desk.intake.due_in_s() == pytest.approx(COMMIT_AFTER_S)
    desk.clock.now += COMMIT_AFTER_S / 2
    desk.take(session, 2)
    assert desk.intake.due_in_s() == pytest.approx(COMMIT_AFTER_S / 2)
    desk.clock.now += 1
    assert desk.intake.due_in_s() == 0.0

    desk.intake.commit()
    assert desk.intake.due_in_s() is None
    desk.take(session, 3, size=COMMIT_BYTES)
    assert desk.intake.due_in_s() == 0.0


def test_a_spool_that_refuses_has_nothing_acknowledged_and_nothing_lost(desk: Desk):
    """T8: a full disk costs time, no event."""
    session = desk.greet()
    desk.spool.refuses = True
    for sequences in ((1, 2), (3,)):
        desk.take(session, *sequences)
        with pytest.raises(SpoolError):
            desk.intake.commit()

    desk.spool.refuses = False
    assert desk.intake.commit() == {SESSION: 3}
    assert desk.stored() == [1, 2, 3]


def test_intake_is_full_while_the_spool_refuses_and_not_after(desk: Desk):
    session = desk.greet()
    desk.take(session, 1, size=MAX_WAITING_BYTES - 1)
    assert not desk.intake.full
    desk.take(session, 2)
    assert desk.intake.full

    desk.intake.commit()
    assert not desk.intake.full


def test_a_session_that_ends_with_its_last_frame_leaves_no_row(desk: Desk):
    session = desk.greet()
    desk.take(session, 1, 2)
    desk.intake.commit()

    desk.intake.end(session, 3)
    assert desk.spool.last_sequence(SESSION) == 2
    desk.intake.end(session, 2)
    assert desk.spool.last_sequence(SESSION) is None


class ExactlyOnce(RuleBasedStateMachine):
    """One worker, against an intake that is killed, refused by its disk and greeted at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.accepted = 0
        self.acked = 0
        self.sent = 0
        self.session = self.desk.greet()

    @rule(count=st.integers(1, 5))
    def offer(self, count: int) -> None:
        self.accepted += count

    @precondition(lambda self: self.sent < self.accepted)
    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        for _ in range(min(count, self.accepted - self.sent)):
            self.sent += 1
            self.desk.take(self.session, self.sent)

    @rule()
    def commit(self) -> None:
        try:
            acked = self.desk.intake.commit()
        except SpoolError:
            return
        self.acked = max(self.acked, acked.get(SESSION, 0))

    @rule()
    def commit_whose_acknowledgement_is_lost(self) -> None:
        if not self.desk.spool.refuses:
            self.desk.intake.commit()
        self.connect_again()

    @rule()
    def connect_again(self) -> None:
        self.session = self.desk.greet(base=self.acked + 1)
        self.acked = self.sent = self.session.last

    @rule()
    def kill(self) -> None:
        spool = self.desk.spool
        self.desk.intake = Intake(spool, Registry(spool), self.desk.clock)
        self.connect_again()

    @rule(refuses=st.booleans())
    def disk(self, refuses: bool) -> None:
        self.desk.spool.refuses = refuses

    @invariant()
    def what_is_acknowledged_is_stored_and_all_that_is_stored_is_stored_once(self) -> None:
        stored = self.desk.stored()
        assert stored == list(range(1, len(stored) + 1))
        assert self.acked <= len(stored) <= self.sent <= self.accepted
        assert self.desk.spool.totals().taken == len(stored)


ExactlyOnce.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestExactlyOnce = ExactlyOnce.TestCase

"""When what came is stored, and when its senders are told, by a clock that the spool moves."""

import os
from collections.abc import Mapping, Sequence

import pytest

from moesifasgi.shipper.intake import COMMIT_AFTER_S, Intake
from moesifasgi.shipper.receiver.acks import INTERVAL_S
from moesifasgi.shipper.receiver.commits import RETRY_S, Commits
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Chunk, SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Event, Hello, Kind

TAKES_S = 1.0
"""As long as SQLite waits for a stranger's lock; longer than any other wait here."""


class SlowSpool(MemorySpool):
    """Each append takes its time, and fails while a stranger has the lock."""

    now = 50.0
    is_locked = False

    def clock(self) -> float:
        return self.now

    def append(self, chunks: Sequence[Chunk], sessions: Mapping[bytes, int], **numbers: int) -> int:
        self.now += TAKES_S
        if self.is_locked:
            raise SpoolError("database is locked")
        return super().append(chunks, sessions, **numbers)


def test_a_commit_that_takes_long_is_no_reason_to_try_again_or_to_tell_at_once():
    spool = SlowSpool(1 << 30)
    intake = Intake(spool, Registry(spool), spool.clock)
    commits = Commits(intake, spool.clock)
    session = intake.greet(
        Hello(1, 1, b"one worker's id.", 1, os.getpid(), "0", [Application("a").to_wire()])
    )
    intake.take(session, Event(Kind.RECORD, 0, 1, b"event"))
    spool.now += COMMIT_AFTER_S
    assert commits.is_due(spool.now)
    spool.is_locked = True
    assert commits.store() is None
    assert not commits.is_due(spool.now)
    assert commits.due_in_s(spool.now) == pytest.approx(RETRY_S)
    spool.now += RETRY_S
    assert commits.is_due(spool.now)
    spool.is_locked = False
    assert commits.store() is True
    assert commits.owed.due_in_s(spool.now) == pytest.approx(INTERVAL_S)

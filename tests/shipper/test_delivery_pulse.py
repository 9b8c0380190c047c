"""What the delivery loop shows to whoever watches that it goes on."""

import pytest

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.retry import Backoff
from moesifasgi.shipper.spool import SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool

PATIENT = Pace(Backoff(base_s=60.0, cap_s=60.0, floor_s=30.0), probe_s=60.0)


class MoodySpool(MemorySpool):
    """Refuses to be read, or is at fault itself, while a test wants it."""

    error: Exception | None = None
    reads = 0

    def peek(self, *arguments, **named):
        self.reads += 1
        if self.error is not None:
            raise self.error
        return super().peek(*arguments, **named)


def test_each_upload_that_ends_is_an_attempt_and_afterwards_nothing_is_due(rig, event, until):
    delivery = rig.start()
    for number in range(1, 4):
        rig.append(event())
        assert rig.distinct(number)
        until(lambda number=number: delivery.pulse.attempts == number and not delivery.pulse.is_due)
        assert delivery.pulse.oldest_began_at is None


def test_an_upload_that_hangs_is_due_and_as_old_as_it_is(rig, event, until):
    rig.collector.behave(Behaviour(hang=True))
    delivery = rig.start()
    rig.append(event())
    until(lambda: delivery.pulse.oldest_began_at is not None)
    began_at = delivery.pulse.oldest_began_at
    rig.append(event())
    until(lambda: rig.requests() == 2)
    assert delivery.pulse.is_due
    assert delivery.pulse.attempts == 0
    assert delivery.pulse.oldest_began_at == began_at


@pytest.mark.parametrize("status", [503, 401])
def test_a_wait_for_the_next_try_is_not_due(rig, event, until, status):
    rig.collector.behave(Behaviour(status=status))
    delivery = rig.start(pace=PATIENT)
    rig.append(event())
    until(lambda: delivery.pulse.attempts == 1)
    until(lambda: not delivery.pulse.is_due)


def test_a_batch_that_may_still_fill_is_not_due(rig, event, until):
    rig.know(batch_timeout_s=3600.0)
    delivery = rig.start()
    rig.append(event())
    until(lambda: not delivery.idle)
    until(lambda: not delivery.pulse.is_due)
    assert delivery.pulse.attempts == 0


def test_a_spool_that_fails_is_tried_again_and_each_try_is_an_attempt(rig, event, until):
    rig.spool = MoodySpool()
    rig.append(event())
    rig.spool.error = SpoolError("no space left")
    delivery = rig.start()
    until(lambda: delivery.pulse.attempts >= 2)


def test_a_loop_that_fails_by_itself_makes_no_attempt_and_always_has_something_to_do(
    rig, event, until, monkeypatch
):
    """It would go on failing, so it is started afresh."""
    monkeypatch.setattr("moesifasgi.shipper.delivery.MAX_TURN_S", 0.1)
    monkeypatch.setattr("moesifasgi.shipper.delivery.SPOOL_REST_S", 0.05)
    rig.spool = MoodySpool()
    rig.append(event())
    rig.spool.error = ZeroDivisionError()
    delivery = rig.start()
    until(lambda: rig.spool.reads >= 1)
    while rig.spool.reads < 4:
        assert delivery.pulse.is_due
    assert delivery.pulse.attempts == 0
    rig.spool.error = None
    assert rig.distinct(1)

"""When a lane may upload."""

import pytest

from moesifasgi.shipper.gate import Gate, GateState, Pace
from moesifasgi.shipper.outcome import RetryLater
from moesifasgi.shipper.retry import Backoff

PACE = Pace(Backoff(base_s=1.0, cap_s=300.0, floor_s=1.0), probe_s=60.0)
BUSY = RetryLater(None, "503")


@pytest.fixture
def gate() -> Gate:
    return Gate(PACE)


def test_an_open_gate_admits_up_to_the_limit(gate):
    assert gate.admits(0.0, in_flight=3, limit=4)
    assert not gate.admits(0.0, in_flight=4, limit=4)


def test_after_a_failure_one_probe_at_a_time_is_admitted_when_the_wait_is_over(gate):
    gate.back_off(BUSY, started_at=0.0, now=10.0, random01=1.0)
    assert not gate.admits(11.9, 0, 4)
    assert gate.admits(12.0, 0, 4)
    assert not gate.admits(12.0, 1, 4)


def test_failures_of_uploads_that_were_under_way_together_count_once(gate):
    for _ in range(4):
        gate.back_off(BUSY, started_at=0.0, now=10.0, random01=1.0)
    assert gate.next_attempt == 12.0
    gate.back_off(BUSY, started_at=12.0, now=12.0, random01=1.0)
    assert gate.next_attempt == 16.0


def test_the_time_that_the_collector_names_is_kept_and_missed_by_at_most_a_second(gate):
    gate.back_off(RetryLater(30.0, "429"), 0.0, 100.0, random01=0.0)
    assert gate.next_attempt == 130.0
    gate.back_off(RetryLater(30.0, "429"), 130.0, 130.0, random01=1.0)
    assert gate.next_attempt == 161.0


def test_a_retry_after_of_nothing_changes_nothing_about_the_waits(gate):
    now = 0.0
    for wait_s in (2.0, 4.0, 8.0):
        gate.back_off(RetryLater(0.0, "503"), now, now, random01=1.0)
        assert gate.next_attempt == now + wait_s
        now = gate.next_attempt
    gate.back_off(RetryLater(0.0, "503"), now, now, random01=0.0)
    assert gate.next_attempt == now + 1.0


def test_a_late_failure_of_an_older_upload_counts_no_attempt_and_says_nothing_new(gate):
    gate.back_off(RetryLater(None, "429"), started_at=1.0, now=2.0, random01=1.0)
    gate.back_off(BUSY, started_at=1.5, now=3.0, random01=1.0)
    assert (gate.reason, gate.next_attempt) == ("429", 5.0)
    gate.back_off(BUSY, started_at=5.0, now=5.0, random01=1.0)
    assert gate.next_attempt == 9.0


def test_a_refusal_does_not_shorten_the_time_that_a_retry_after_named(gate):
    gate.back_off(RetryLater(900.0, "429"), started_at=0.0, now=1.0, random01=0.0)
    gate.park("401", now=2.0)
    assert (gate.state, gate.next_attempt) == (GateState.PARKED, 901.0)
    gate.park("401", now=901.0)
    assert gate.next_attempt == 961.0


def test_an_older_upload_neither_opens_the_gate_nor_shortens_the_wait(gate):
    gate.back_off(RetryLater(30.0, "429"), started_at=0.0, now=1.0, random01=0.0)
    gate.back_off(BUSY, started_at=0.5, now=2.0, random01=0.0)
    gate.succeeded(started_at=0.5)
    assert (gate.state, gate.next_attempt) == (GateState.BACKING_OFF, 31.0)


def test_the_success_of_a_probe_opens_the_gate_and_forgets_the_failures(gate):
    for now in (0.0, 10.0, 20.0):
        gate.back_off(BUSY, now, now, 1.0)
    gate.succeeded(started_at=28.0)
    assert gate.state is GateState.OPEN
    gate.back_off(BUSY, 30.0, 30.0, 1.0)
    assert gate.next_attempt == 32.0


def test_a_parked_gate_is_probed_once_a_minute(gate):
    gate.park("401", now=5.0)
    assert not gate.admits(64.9, 0, 4)
    assert gate.admits(65.0, 0, 4)

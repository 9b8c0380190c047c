"""The worker's counters: exact under threads, flat to read, and true to the identity."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from moesifasgi.counters import Counters


def test_every_number_starts_at_zero_and_is_in_the_snapshot():
    snapshot = Counters().snapshot()

    assert {"captured", "skipped", "sampled_out", "acked", "hook_failed", "withheld"} <= set(snapshot)
    assert set(snapshot.values()) == {0}


def test_a_dropped_event_is_counted_under_its_reason():
    counters = Counters()
    counters.drop("full")
    counters.drop("full", 2)
    counters.drop("too_large")

    snapshot = counters.snapshot()

    assert snapshot["dropped.full"] == 3
    assert snapshot["dropped.too_large"] == 1


def test_a_snapshot_does_not_change_afterwards():
    counters = Counters()
    before = counters.snapshot()
    counters.add("captured")

    assert before["captured"] == 0
    assert counters.snapshot()["captured"] == 1


class Interrupted(int):
    """A number during whose addition another thread gets its turn."""

    def __radd__(self, other: int) -> int:
        time.sleep(0)
        return int(self) + other


def test_no_count_is_lost_between_threads():
    counters = Counters()
    threads, rounds = 4, 500
    together = threading.Barrier(threads)

    def count() -> None:
        together.wait(timeout=10)
        for _ in range(rounds):
            counters.add("captured", Interrupted(1))
            counters.drop("full", Interrupted(1))

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(count) for _ in range(threads)]:
            done.result(timeout=30)

    snapshot = counters.snapshot()
    assert snapshot["captured"] == snapshot["dropped.full"] == threads * rounds
    assert counters.difference(in_ring=0, in_hooks=0) == 0


def test_every_captured_event_has_exactly_one_fate():
    counters = Counters()
    counters.add("captured", 28)
    counters.add("skipped", 1)
    counters.add("sampled_out", 2)
    counters.drop("full", 3)
    counters.drop("too_large", 4)
    counters.add("acked", 5)

    assert counters.difference(in_ring=6, in_hooks=7) == 0


@pytest.mark.parametrize(
    ("name", "difference"), [("captured", 1), ("acked", -1), ("skipped", -1), ("sampled_out", -1)]
)
def test_a_missing_event_is_above_zero_and_one_counted_twice_below(name, difference):
    counters = Counters()
    counters.add("captured")
    counters.add("acked")
    counters.add(name)

    assert counters.difference(in_ring=0, in_hooks=0) == difference


@pytest.mark.parametrize("trouble", ["hook_failed", "hook_timed_out", "hook_overran", "withheld", "blocked"])
def test_trouble_is_counted_beside_the_identity(trouble):
    counters = Counters()
    counters.add(trouble)

    assert counters.snapshot()[trouble] == 1
    assert counters.difference(in_ring=0, in_hooks=0) == 0


def test_a_name_that_is_not_known_does_not_leave_the_counters_locked():
    counters = Counters()
    with pytest.raises(KeyError):
        counters.add("lost")  # a checker refuses this name

    counters.add("captured")

    assert counters.snapshot()["captured"] == 1


def test_a_forked_child_starts_afresh_though_the_lock_was_held():
    """B7: what a parent's threads hold at the fork is held for ever in the child."""
    counters = Counters()
    counters.add("captured")
    counters._lock.acquire()

    counters.start_afresh()
    counters.add("acked")

    assert counters.snapshot()["captured"] == 0
    assert counters.snapshot()["acked"] == 1

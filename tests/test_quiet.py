"""At most one line a minute for each cause, and none of them lost from the count."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from moesifasgi.quiet import Quiet


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quiet(clock: Clock, caplog: pytest.LogCaptureFixture) -> Quiet:
    caplog.set_level(logging.INFO)
    return Quiet(logging.getLogger("moesifasgi.tests"), 60.0, clock)


def test_a_cause_is_logged_once_in_its_interval(quiet: Quiet, clock: Clock, caplog: pytest.LogCaptureFixture):
    """B9: an error was logged with its traceback for each failed batch."""
    for _ in range(100):
        quiet.say("down", "the shipper is %s", "down")
        clock.now += 0.5

    assert caplog.messages == ["the shipper is down"]


def test_the_next_line_says_how_many_were_held_back(
    quiet: Quiet, clock: Clock, caplog: pytest.LogCaptureFixture
):
    for at in (0.0, 1.0, 59.9, 60.0, 119.0, 200.0):
        clock.now = 1_000.0 + at
        quiet.say("down", "100%% %s", "down")

    assert caplog.messages == [
        "100% down",
        "100% down (2 more since the last line)",
        "100% down (1 more since the last line)",
    ]


def test_causes_do_not_silence_each_other(quiet: Quiet, caplog: pytest.LogCaptureFixture):
    quiet.say("one", "first")
    quiet.say("two", "second", level=logging.ERROR)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "first"),
        ("ERROR", "second"),
    ]


def test_the_first_line_comes_whatever_the_clock_says(caplog: pytest.LogCaptureFixture):
    Quiet(logging.getLogger("moesifasgi.tests"), 60.0, lambda: 0.0).say("soon after boot", "said")

    assert caplog.messages == ["said"]


def test_threads_together_lose_no_count(quiet: Quiet, clock: Clock, caplog: pytest.LogCaptureFixture):
    together = threading.Barrier(4)

    def shout() -> None:
        together.wait(timeout=10)
        for _ in range(1_000):
            quiet.say("loud", "loud")

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(shout) for _ in range(4)]:
            future.result()
    clock.now += 60
    quiet.say("loud", "loud")

    assert caplog.messages == ["loud", "loud (3999 more since the last line)"]


def test_a_lock_held_at_a_fork_does_not_silence_the_child(quiet: Quiet, caplog: pytest.LogCaptureFixture):
    quiet._lock.acquire()
    quiet.start_afresh()

    quiet.say("child", "alive")
    assert caplog.messages == ["alive"]

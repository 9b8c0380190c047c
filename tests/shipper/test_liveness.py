"""What is a standstill, and what only looks like one; and what the watchdog does about it."""

import logging
import threading
import time

from lab.processes import eventually
from lab.service_manager import ServiceManager

from moesifasgi.shipper.liveness import MOST_BETWEEN_LOOKS_S, Liveness, Pulse
from moesifasgi.shipper.systemd import Manager
from moesifasgi.shipper.watchdog import Watchdog


def stood_s(*pulses: Pulse) -> float:
    """Seconds of standstill after one look a second, from 100 on."""
    live = Liveness(100.0)
    return [live.look(pulse, 100.0 + number) for number, pulse in enumerate(pulses)][-1]


def test_work_that_is_due_and_no_attempt_that_ends_is_a_standstill():
    assert stood_s(*[Pulse(7, is_due=True)] * 50) == 49.0


def test_attempts_that_end_in_vain_are_none():
    assert stood_s(*[Pulse(number, is_due=True) for number in range(50)]) == 0.0


def test_nothing_to_do_is_none_and_a_wait_until_the_next_try_is_none():
    assert stood_s(*[Pulse(7, is_due=False)] * 50) == 0.0


def test_it_counts_from_when_work_became_due():
    assert stood_s(*[Pulse(7, is_due=False)] * 50, *[Pulse(7, is_due=True)] * 10) == 10.0


def test_one_attempt_that_never_ends_is_one_though_others_end():
    """It holds its events for ever."""
    hung = [Pulse(number, is_due=True, oldest_began_at=101.0) for number in range(50)]
    assert stood_s(*hung) == 49.0


class Moves:
    """A loop as a test wants it."""

    def __init__(self) -> None:
        self.attempts = 0
        self.moves = True

    def look(self) -> Pulse:
        self.attempts += self.moves
        return Pulse(self.attempts, is_due=True)


def test_where_systemd_watches_the_watchdog_starves_and_the_process_is_left_to_it(short_dir, caplog):
    loop, other, ended = Moves(), Moves(), threading.Event()
    with ServiceManager(short_dir) as heard:
        manager = Manager(str(short_dir / "notify"), watchdog_s=1.0)
        dog = Watchdog({"this": loop.look, "that": other.look}, manager, standstill_s=5.0, end=ended.set)
        now = time.monotonic()
        for second in range(3):
            dog.look(now + second)
        eventually(lambda: heard.count("WATCHDOG=1") == 3, 5.0, "it was fed")
        loop.moves = False
        for second in range(3, 20):
            dog.look(now + second)
        loop.moves = True
        dog.look(now + 20)
        eventually(
            lambda: heard.count("WATCHDOG=1") == 8, 5.0, "it was fed until the standstill and after it"
        )
        assert heard.count("STATUS=this stands still for 5 s") == 1
    manager.close()
    assert not ended.is_set()
    (line,) = caplog.records
    assert line.levelno == logging.CRITICAL
    assert "this stands still for 5 s" in line.message


def test_elsewhere_the_process_is_ended(caplog):
    loop, ended = Moves(), threading.Event()
    dog = Watchdog({"delivery": loop.look}, Manager(), standstill_s=0.5, end=ended.set)
    dog.start()
    assert not ended.wait(0.0)
    loop.moves = False
    assert ended.wait(30.0)
    dog.close()
    dog.close()
    assert "delivery stands still" in caplog.text


def test_a_process_that_was_stopped_for_long_is_not_ended_when_it_goes_on():
    """By SIGSTOP, or with its whole machine: all loops get their time to go on first."""
    live = Liveness(0.0)
    assert live.look(Pulse(1, is_due=True, oldest_began_at=-1.0), 0.0) == 0.0
    assert live.look(Pulse(1, is_due=True, oldest_began_at=-1.0), 1000.0) == MOST_BETWEEN_LOOKS_S
    assert live.look(Pulse(2, is_due=True), 1001.0) == 0.0

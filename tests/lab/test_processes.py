"""Waiting and finding: bounded, and by what was started rather than by name alone."""

import signal
import subprocess
import sys

import pytest
from lab.processes import bearing, eventually, kill_all, marked, shippers_of

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def started():
    """Start a process with an argv and environment of the test's choice; all are killed afterwards."""
    processes = []

    def start(*argv, env=None):
        processes.append(subprocess.Popen([sys.executable, *argv], env=env))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_waiting_ends_with_the_first_true_answer():
    answers = iter([None, 0, "there"])
    assert eventually(lambda: next(answers), 5, "an answer") == "there"


def test_waiting_fails_at_the_deadline_and_says_for_what():
    with pytest.raises(AssertionError, match="pigs fly"):
        eventually(lambda: False, 0.03, "pigs fly")


def test_a_mark_finds_what_bears_it_and_nothing_else(started):
    environment, mark = marked()
    ours, _other = started("-c", SLEEP, env=environment), started("-c", SLEEP)
    assert [process.pid for process in bearing(mark)] == [ours.pid]


def test_a_marked_process_that_starts_marked_ones_finds_them_too(started):
    outer_environment, outer = marked()
    inner_environment, _ = marked(outer_environment)
    inner = started("-c", SLEEP, env=inner_environment)
    assert [process.pid for process in bearing(outer)] == [inner.pid]


def test_a_shipper_is_found_by_the_directory_in_its_command_line(started, tmp_path):
    # The module is not run: python takes the argv after -c as the program's own.
    shipper = started("-c", SLEEP, "-m", "moesifasgi.shipper", f"--spool-dir={tmp_path}")
    started("-c", SLEEP, "-m", "moesifasgi.shipper", "--spool-dir", f"{tmp_path}-other")
    eventually(lambda: shippers_of(tmp_path), 5, "the shipper shows its command line")
    assert [process.pid for process in shippers_of(tmp_path)] == [shipper.pid]


def test_killing_waits_until_the_processes_are_gone(started):
    environment, mark = marked()
    process = started("-c", SLEEP, env=environment)
    kill_all(bearing(mark))
    assert bearing(mark) == []
    assert process.wait() == -signal.SIGKILL

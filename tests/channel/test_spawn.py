"""Starting the shipper's process: nothing holds it up, and it is nobody's child once it serves."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from lab.processes import bearing, eventually, has_ended, marked

from moesifasgi.channel import bootstrap, own_descriptors, spawn
from moesifasgi.channel.bootstrap import ATTENDANT, WORKERS_PATH
from moesifasgi.channel.spawn import Spawned

WAIT_S = 20.0
SLEEPS = "import os, pathlib, time; pathlib.Path('{seen}').write_text(str(os.getpid())); time.sleep(60)"


class Starts:
    """Modules that are started as a shipper is; what is left of them is ended after the test."""

    def __init__(self, directory: Path, log: int) -> None:
        self.seen = directory / "pid"
        """Where a module that sleeps says who it is."""
        self._directory = directory
        self._log = log
        environment, self.mark = marked()
        self._environment = {**environment, WORKERS_PATH: str(directory)}

    def begin(self, code: str) -> Spawned:
        return spawn.spawn(self._command(code), self._environment, self._log)

    def sleeping(self) -> tuple[Spawned, psutil.Process]:
        """One that runs for a minute: the start, and the module's process."""
        start = self.begin(SLEEPS)
        return start, self.running()

    def running(self) -> psutil.Process:
        """The process of a module that sleeps."""
        eventually(lambda: self.seen.exists() and self.seen.read_text(), WAIT_S, "it runs")
        return psutil.Process(int(self.seen.read_text()))

    def begun_by(self, starter: str) -> "subprocess.Popen[str]":
        """A program that is to start a module that sleeps."""
        argv = [sys.executable, "-c", starter, *self._command(SLEEPS)]
        return subprocess.Popen(argv, env=self._environment, stdout=subprocess.PIPE, text=True)

    def _command(self, code: str) -> list[str]:
        (self._directory / "started_module.py").write_text(code.format(seen=self.seen))
        return [sys.executable, "-P", bootstrap.__file__, "-m", "started_module"]


@pytest.fixture
def starts(tmp_path: Path) -> Iterator[Starts]:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    made = Starts(tmp_path, log)
    yield made
    os.close(log)
    for process in bearing(made.mark):
        process.kill()


def has_no_child(pid: int) -> bool:
    return all(child.pid != pid for child in psutil.Process().children())


def test_a_start_is_not_held_up_by_whoever_is_forked_meanwhile(starts: Starts):
    """With a pipe to wait on, a child that lives long would hold it up as long (a server's workers do)."""
    started: list[float] = []

    def start() -> None:
        for _ in range(8):
            began = time.monotonic()
            child = starts.begin("")
            started.append(time.monotonic() - began)
            eventually(child.has_ended, 30.0, "it ends")
            child.let_go()

    thread = threading.Thread(target=start)
    thread.start()
    children = []
    while thread.is_alive() and len(children) < 300:
        if not (pid := os.fork()):
            time.sleep(60)
            os._exit(0)
        children.append(pid)
    thread.join()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert len(started) == 8
    assert max(started) < 5.0


def test_a_started_process_has_a_session_of_its_own_and_hears_signals_that_the_server_ignores(starts: Starts):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _, process = starts.sleeping()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert os.getsid(process.pid) == process.pid
    process.send_signal(signal.SIGHUP)
    eventually(lambda: has_ended(process), WAIT_S, "it ends")


def test_who_starts_it_has_an_attendant_for_a_child_until_it_lets_go_and_none_afterwards(starts: Starts):
    """Nor a dead one: a master may live for years, and wait for all of its children, or for none."""
    start, process = starts.sleeping()
    attendant = psutil.Process(start.pid)
    assert process.ppid() == attendant.pid
    eventually(lambda: attendant.name() == ATTENDANT, WAIT_S, "a list of processes tells it by its name")
    start.let_go()
    assert has_no_child(start.pid)
    assert not has_ended(process)
    assert process.ppid() not in (os.getpid(), start.pid)
    start.let_go()
    process.kill()
    eventually(lambda: has_ended(process), WAIT_S, "it ends")
    assert has_no_child(process.pid)


STARTER = """
import os, sys, time
from moesifasgi.channel.spawn import spawn

start = spawn(sys.argv[1:], os.environ, 2)
if not os.fork():
    time.sleep(60)
    os._exit(0)
print(start.pid, flush=True)
time.sleep(60)
"""


def test_the_attendant_leaves_with_who_started_it_though_a_fork_of_that_lives(starts: Starts):
    with starts.begun_by(STARTER) as starter:
        assert starter.stdout is not None
        attendant = psutil.Process(int(starter.stdout.readline()))
        process = starts.running()
        assert not has_ended(attendant)
        (fork,) = (each for each in psutil.Process(starter.pid).children() if each.pid != attendant.pid)
        starter.kill()
        eventually(lambda: has_ended(attendant), WAIT_S, "the attendant has left")
        assert not has_ended(process)
        assert not has_ended(fork)
        fork.kill()


ENDS = {
    "in good order": "",
    "with a status": "raise SystemExit(3)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("asks_first", [None, "a master that reaps all", "nobody, by SIGCHLD"])
@pytest.mark.parametrize("end", ENDS)
def test_who_starts_it_knows_how_it_ended_whoever_asks_first(
    end: str, asks_first: str | None, starts: Starts
):
    """A shipper that cannot start would be started over and over again, were its end taken for a good one."""
    with ignored_children(asks_first is not None and "SIGCHLD" in asks_first):
        start = starts.begin(ENDS[end])
        if asks_first is not None and "master" in asks_first:
            assert os.waitpid(start.pid, 0)[1] == 0, "a status that means nothing to a master"
        eventually(start.has_ended, WAIT_S, "it ends")
    assert start.in_good_order() is (end == "in good order")
    start.let_go()


@contextmanager
def ignored_children(ignored: bool) -> Iterator[None]:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN if ignored else signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


def test_an_attendant_that_takes_its_time_is_reaped_later(starts: Starts, monkeypatch):
    monkeypatch.setattr(spawn, "LEAVES_S", 0.0)
    start, _ = starts.sleeping()
    attendant = psutil.Process(start.pid)
    attendant.suspend()
    start.let_go()
    spawn.reap_orphans()
    assert attendant in psutil.Process().children()
    attendant.resume()
    eventually(lambda: spawn.reap_orphans() or has_no_child(start.pid), WAIT_S, "it is reaped")


def test_it_is_told_to_end_by_way_of_its_attendant(starts: Starts):
    start, process = starts.sleeping()
    assert not start.has_ended()
    start.terminate()
    eventually(lambda: has_ended(process), WAIT_S, "it ends")
    eventually(start.has_ended, WAIT_S, "so does the attendant")
    start.terminate()
    start.let_go()


def test_a_fork_of_its_starter_lets_nothing_go(starts: Starts):
    """What has the same number there may be anything by then."""
    start, _ = starts.sleeping()
    if not (fork := os.fork()):
        os.dup2(os.open(os.devnull, os.O_RDONLY), start._line)
        own_descriptors.keep(start._line)
        start.let_go()
        os._exit(0 if os.path.samestat(os.fstat(start._line), Path(os.devnull).stat()) else 1)
    assert os.waitpid(fork, 0)[1] == 0
    assert not start.has_ended()
    start.let_go()


def test_what_cannot_be_started_says_so_and_leaves_no_descriptor_behind(starts: Starts, tmp_path: Path):
    before = psutil.Process().num_fds()
    log = os.open(tmp_path / "log", os.O_WRONLY)
    with pytest.raises(OSError, match="No such file"):
        spawn.spawn(["/no/such/program"], os.environ, log)
    os.close(log)
    assert psutil.Process().num_fds() == before

"""Starting the shipper's process: nothing of a fork that happens meanwhile holds it up."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from lab.processes import eventually

from moesifasgi.channel.spawn import spawn

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def log(tmp_path: Path):
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_a_start_is_not_held_up_by_whoever_is_forked_meanwhile(log: int):
    """With a pipe to wait on, a child that lives long would hold it up as long (a server's workers do)."""
    started: list[float] = []

    def start() -> None:
        for _ in range(40):
            began = time.monotonic()
            child = spawn([sys.executable, "-S", "-c", ""], os.environ, log)
            started.append(time.monotonic() - began)
            eventually(lambda child=child: child.poll() is not None, 10.0, "it ends")

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
    assert len(started) == 40
    assert max(started) < 5.0


def test_a_started_process_has_a_session_of_its_own_and_hears_signals_that_the_server_ignores(log: int):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        child = spawn(SLEEPS, os.environ, log)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert os.getsid(child._pid) == child._pid
    os.kill(child._pid, signal.SIGHUP)
    assert eventually(child.poll, 10.0, "it ends") == -signal.SIGHUP


def test_it_tells_how_a_process_ended_also_where_somebody_else_has_asked_first(log: int):
    child = spawn(SLEEPS, os.environ, log)
    assert child.poll() is None
    child.terminate()
    assert eventually(child.poll, 10.0, "it ends") == -signal.SIGTERM
    child.terminate()
    other = spawn([sys.executable, "-c", "raise SystemExit(3)"], os.environ, log)
    os.waitpid(other._pid, 0)
    assert other.poll() == 0


def test_what_cannot_be_started_says_so(log: int):
    with pytest.raises(OSError, match="No such file"):
        spawn(["/no/such/program"], os.environ, log)

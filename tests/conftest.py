"""Fixtures for tests that meet real processes: short paths, a collector, and no process left behind."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from moesifasgi.inspector import Collector

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from lab.processes import (  # noqa: E402  (needs the path above)
    MARK,
    bearing,
    command_line,
    eventually,
    is_housekeeper,
    kill_all,
    marked,
    marks_of,
)

LEAVE_S = 2.0
"""How long a process may take to be gone after the test that started it."""


@pytest.fixture(autouse=True, scope="session")
def interrupts_are_heard() -> None:
    """A shell has what it starts in the background ignore SIGINT, and what tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def process_mark() -> Iterator[str]:
    """A mark in our environment, inherited by all that any test starts."""
    environment, mark = marked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, environment[MARK])
        yield mark


@pytest.fixture(autouse=True, scope="module")
def no_process_survives(process_mark: str) -> Iterator[None]:
    """Fail the last test of a file that leaves a process behind, and end that process.

    A look at all processes takes some 20 ms: too much for each test.
    """
    before = _started(process_mark)
    # What a server of a wider fixture starts only now (its shipper, a new worker) is not this test's to end.
    families = {marks_of(process) for process in before} - {os.environ[MARK]}

    def survivors() -> list[psutil.Process]:
        started = _started(process_mark) - before
        return [process for process in started if marks_of(process) not in families]

    yield
    try:
        eventually(lambda: not survivors(), LEAVE_S, "no process is left behind")
    except AssertionError:
        left = survivors()
        commands = [" ".join(command_line(process)) for process in left]
        kill_all(left)
        pytest.fail(f"left behind: {commands}")


@pytest.fixture(autouse=True, scope="module")
def state_of_its_own() -> Iterator[None]:
    """What a worker leaves behind in its user's directory, the next one there hands over to its shipper."""
    directory = tempfile.mkdtemp(prefix="m-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", directory)
        yield
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def umask_is_kept() -> Iterator[None]:
    """A shipper that a test runs in this process makes files for itself alone, from then on."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """An empty directory of mode 0700 whose path is short enough for a Unix socket in it (108 bytes)."""
    directory = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def collector() -> "Iterator[Collector]":
    """A running stand-in for Moesif's collector, with nothing in its store."""
    from moesifasgi.inspector import Collector

    with Collector() as started:
        yield started


def _started(mark: str) -> set[psutil.Process]:
    own = os.getpid()
    return {process for process in bearing(mark) if process.pid != own and not is_housekeeper(process)}

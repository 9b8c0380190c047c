"""Finding, awaiting and ending processes.

``eventually`` is the one way to wait here. A process that leaves its parent (an embedded shipper has a
session of its own) is still found: what is started through ``marked`` carries the mark in its environment.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import psutil

from moesifasgi.channel import bootstrap

POLL_S = 0.01
MARK = "MOESIF_LAB_MARK"
"""Environment variable that a process and all its descendants carry."""
SHIPPER_MODULE = "moesifasgi.shipper"
_HOUSEKEEPERS = ("resource_tracker", "multiprocessing.forkserver")
"""Processes that Python's multiprocessing keeps for its owner's whole life; they end with it."""

Value = TypeVar("Value")


def eventually(predicate: Callable[[], Value], timeout_s: float, what: str) -> Value:
    """The first truthy answer of ``predicate``; AssertionError with ``what`` if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (answer := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"after {timeout_s:g} s still not so: {what}")
        time.sleep(POLL_S)
    return answer


def marked(environment: Mapping[str, str] | None = None) -> tuple[dict[str, str], str]:
    """An environment (None: ours) with a mark of its own under ``MARK``, and that mark."""
    mark = uuid.uuid4().hex
    inherited = os.environ if environment is None else environment
    return {**inherited, MARK: f"{inherited.get(MARK, '')}:{mark}"}, mark


def bearing(mark: str) -> list[psutil.Process]:
    """All living processes that were started with this mark, or by one that was."""
    return [process for process in psutil.process_iter() if mark in marks_of(process)]


def marks_of(process: psutil.Process) -> str:
    """All marks that a process bears, the outermost first; empty once it is gone."""
    try:
        return str(process.environ().get(MARK, ""))
    except psutil.Error:
        return ""


def command_line(process: psutil.Process) -> list[str]:
    """The argv of a process; empty once it is gone."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def is_housekeeper(process: psutil.Process) -> bool:
    """Whether multiprocessing runs this process for itself."""
    return any(name in argument for argument in command_line(process) for name in _HOUSEKEEPERS)


def is_shipper(process: psutil.Process) -> bool:
    """Whether this is ``python -m moesifasgi.shipper``, however it was started."""
    argv = command_line(process)
    return any(flag == "-m" and name == SHIPPER_MODULE for flag, name in pairwise(argv))


def shippers_of(directory: Path | str) -> list[psutil.Process]:
    """The shippers whose command line names this state directory, or a file in it."""
    wanted = str(directory).rstrip("/")
    found = [process for process in psutil.process_iter() if is_shipper(process) and _names(process, wanted)]
    return [process for process in found if not _is_attendant(process)]


def has_ended(process: psutil.Process) -> bool:
    """Whether a process runs no more; one that its parent has not reaped yet has ended too."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def kill_all(processes: Iterable[psutil.Process], timeout_s: float = 5.0) -> None:
    """SIGKILL these at once and wait for their end; their exit codes are left to their parents."""
    victims = list(processes)
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    eventually(lambda: all(map(has_ended, victims)), timeout_s, f"{victims} ended")


def _is_attendant(process: psutil.Process) -> bool:
    """Whether it is one, will be one once it has forked the shipper, or is gone.

    Until the shipper has a session of its own, its standard input is the line to its starter.
    """
    if bootstrap.__file__ not in command_line(process):
        return False
    try:
        return str(Path(f"/proc/{process.pid}/fd/0").readlink()).startswith("socket:")
    except OSError:
        return True


def _names(process: psutil.Process, directory: str) -> bool:
    values = (argument.rpartition("=")[2] for argument in command_line(process))
    return any(value.rstrip("/") == directory or value.startswith(f"{directory}/") for value in values)

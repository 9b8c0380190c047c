"""A disk that fails or is slow under a process that runs: for a while strace answers its system calls.

What SQLite and the shipper meet is what the kernel would tell them of a broken disk; all else stays real.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.processes import eventually

ATTACHES_IN_S = 20.0
LETS_GO_IN_S = 2.0
WRITES = ("pwrite64", "ftruncate", "fsync", "fdatasync")
READS = ("pread64",)
SYNCS = ("fsync", "fdatasync")


def missing_right() -> str | None:
    """Why no disk can be made to fail here; None if it can."""
    if not shutil.which("strace"):
        return "needs strace"
    tried = subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", sys.executable, "-c", ""], capture_output=True
    )
    return "needs the right to trace a process" if tried.returncode else None


@contextmanager
def failing(pid: int, *calls: str) -> Iterator[None]:
    """These calls of a process end with an I/O error, during the block."""
    with _injected(pid, calls, "error=EIO"):
        yield


@contextmanager
def slow(pid: int, *calls: str, delay_s: float, path: Path | None = None) -> Iterator[None]:
    """These calls of a process take so much longer, during the block; with a ``path`` those that name it."""
    with _injected(pid, calls, f"delay_enter={delay_s * 1_000_000:.0f}", path):
        yield


@contextmanager
def _injected(pid: int, calls: tuple[str, ...], fault: str, path: Path | None = None) -> Iterator[None]:
    names = ",".join(calls)
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={names}"]
    only = [] if path is None else ["-P", str(path)]
    with subprocess.Popen([*command, *only, "-e", f"inject={names}:{fault}"]) as tracer:
        try:
            eventually(lambda: _is_traced(pid), ATTACHES_IN_S, f"{pid} is traced")
            yield
        finally:
            _let_go(tracer)


def _let_go(tracer: "subprocess.Popen[bytes]") -> None:
    tracer.terminate()
    try:
        tracer.wait(LETS_GO_IN_S)
    except subprocess.TimeoutExpired:
        # It waits for a thread that it holds up, of a process that has ended and cannot go before.
        tracer.kill()


def _is_traced(pid: int) -> bool:
    """Whether all threads are: strace attaches to them one by one."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return all("TracerPid:\t0\n" not in status for status in statuses)

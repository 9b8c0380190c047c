"""T12: workers that want a shipper at the same moment get one for all; a killed one is replaced by one."""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from lab.processes import eventually, kill_all, shippers_of

from campaigns.scene import APPLICATION_ID, Finding
from moesifasgi.inspector import Collector
from moesifasgi.places import LAUNCH_LOCK_NAME, LOG_NAME, SOCKET_NAME
from moesifasgi.shipper.tool import NoShipper, ask_status
from moesifasgi.unix_socket import listening

COUNT = 100
AT_ONCE = 2
"""Most of a race is waiting."""
WORKERS = 8
EVENTS = 25
"""Of each worker."""
COMES_S = 15.0
"""A test's patience, not a promise."""
REPLACED_S = 2.0
ORPHAN_S = 20.0
RACER = Path(__file__).with_name("racer.py")


@dataclass(frozen=True, slots=True)
class Race:
    """What came of one."""

    served: int
    """Shippers that ever served before the kill."""
    replaced_s: float
    lost: int
    duplicates: int
    left: tuple[str, ...]
    """Files that should not be there at the end."""
    stayed_s: float
    """How long the last shipper outlived the last worker."""

    @property
    def holds(self) -> bool:
        timely = self.replaced_s <= REPLACED_S and self.stayed_s <= ORPHAN_S
        return self.served == 1 and timely and not (self.lost or self.left)


def run(count: int, rng: random.Random) -> Finding:
    """``count`` races of eight workers, every other one among what dead processes left."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        races = list(pool.map(lambda number: race(stale=not number % 2, rng=rng), range(count)))
    failed = [each for each in races if not each.holds]
    remark = (
        f"replaced within {max(each.replaced_s for each in races):.2f} s, gone"
        f" {max(each.stayed_s for each in races):.1f} s after the last worker{''.join(map(repr, failed[:3]))}"
    )
    done = f"{count} races of {WORKERS} workers, a kill in each"
    lost, duplicates = sum(each.lost for each in races), sum(each.duplicates for each in races)
    return Finding("T12", done, count * WORKERS * EVENTS, lost, duplicates, remark, not failed)


def race(*, stale: bool, rng: random.Random) -> Race:
    """All begin at once; the shipper that comes of it is killed; the workers end."""
    with Collector() as collector, tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name:
        directory = Path(name)
        if stale:
            _leave_stale(directory)
        with racers(directory, collector.url, WORKERS) as workers:
            say(workers)
            eventually(lambda: _workers(directory) == WORKERS, COMES_S, "all have a shipper")
            served = served_in(directory)
            replaced_s = _killed(directory, rng)
            say(workers)
            assert workers.wait(COMES_S * 2) == 0
            ended_at = time.monotonic()
            eventually(lambda: not shippers_of(directory), ORPHAN_S + COMES_S, "the shipper leaves")
        counts = collector.store.counts()
        return Race(
            served=served,
            replaced_s=replaced_s,
            lost=WORKERS * EVENTS - counts.distinct,
            duplicates=counts.duplicates,
            left=tuple(path.name for path in directory.iterdir() if not may_stay(path)),
            stayed_s=time.monotonic() - ended_at,
        )


@contextmanager
def racers(
    directory: Path, url: str, workers: int, events: int = EVENTS, **environment: str
) -> "Iterator[subprocess.Popen[bytes]]":
    """Workers that wait for the first word; killed with their shipper at the end, if they still live."""
    settings = {
        **os.environ,
        "MOESIF_APPLICATION_ID": APPLICATION_ID,
        "MOESIF_BASE_URI": url,
        "MOESIF_SPOOL_DIR": str(directory),
        "MOESIF_SHIPPER_SOCKET": str(directory / "no-standalone-shipper.sock"),
        **environment,
    }
    argv = [sys.executable, str(RACER), str(workers), str(events)]
    quiet = subprocess.DEVNULL  # They tell of each kill.
    with subprocess.Popen(argv, env=settings, stdin=subprocess.PIPE, stderr=quiet) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                kill_all([psutil.Process(process.pid), *psutil.Process(process.pid).children()])
            kill_all(shippers_of(directory))


def say(workers: "subprocess.Popen[bytes]") -> None:
    assert workers.stdin is not None
    workers.stdin.write(b"\n")
    workers.stdin.flush()


def _leave_stale(directory: Path) -> None:
    """A socket behind which nobody listens, and locks that nobody holds."""
    listening(directory / SOCKET_NAME, 0o600).close()
    for name in (LAUNCH_LOCK_NAME, "spool.lock"):
        (directory / name).write_text("4711\n")


def status_of(directory: Path) -> dict[str, object]:
    try:
        return ask_status(directory / SOCKET_NAME)
    except NoShipper:
        return {}


def _workers(directory: Path) -> int:
    return len(status_of(directory).get("workers", ()))  # type: ignore[arg-type]


def served_in(directory: Path) -> int:
    """How many shippers ever served there."""
    return (directory / LOG_NAME).read_text("utf-8").count(" serves ")


def _killed(directory: Path, rng: random.Random) -> float:
    """Kill the one that serves; returns when another one did."""
    (victim,) = shippers_of(directory)
    time.sleep(rng.uniform(0.0, 0.2))
    victim.kill()
    killed_at = time.monotonic()
    eventually(
        lambda: status_of(directory).get("pid") not in (None, victim.pid), COMES_S, "another one serves"
    )
    replaced_s = time.monotonic() - killed_at
    eventually(lambda: _workers(directory) == WORKERS, COMES_S, "all have the other one")
    assert len(shippers_of(directory)) == 1
    return replaced_s


def may_stay(path: Path) -> bool:
    """The spool, the log and the locks; no socket, nothing that a worker left."""
    return path.name.startswith(("spool", LOG_NAME)) or path.name == LAUNCH_LOCK_NAME

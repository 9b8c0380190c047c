"""T13: ten thousand reconnects and a million events later, worker and shipper hold no more than before."""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from lab.far_end import Speaker
from lab.processes import eventually
from lab.shipper_process import CONFIGURATION_NAME, ShipperProcess, standalone

from campaigns.scene import Finding
from moesifasgi.inspector import Collector

COUNT = 10_000
"""Reconnects."""
EVENTS = 100
"""For each of them, in all."""
PIECE = 10
"""Of which so many are offered just when the connection breaks."""
WARM = 0.2
"""The share after which is noted what the processes hold."""
MORE_BYTES = 24_000_000
"""By which resident memory may differ between two moments: what is under way at them differs too."""
UPLOADS = 4
"""Connections to the collector, and threads for them, that a shipper has at one moment and not at another."""
WAIT_S = 60.0
REST_S = 0.5
"""So long the same numbers: what comes and goes with traffic has gone."""
RESTS_WITHIN_S = 10.0
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    memory_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, process: psutil.Process) -> "Held":
        return cls(process.memory_info().rss, process.num_fds(), process.num_threads())

    def is_no_more_than(self, before: "Held", spare: int = UPLOADS) -> bool:
        """``spare``: descriptors and threads that come and go."""
        descriptors, threads = before.descriptors + spare, before.threads + spare
        same = self.descriptors <= descriptors and self.threads <= threads
        return same and self.memory_bytes <= before.memory_bytes + MORE_BYTES


@dataclass(frozen=True, slots=True)
class Soak:
    """What came of it."""

    events: int
    lost: int
    duplicates: int
    worker: tuple[Held, Held]
    """Early, and at the end."""
    shipper: tuple[Held, Held]
    files: tuple[str, ...]

    @property
    def holds(self) -> bool:
        flat = all(last.is_no_more_than(first) for first, last in (self.worker, self.shipper))
        only_the_spool = all(name.startswith(("spool", "log", CONFIGURATION_NAME)) for name in self.files)
        return flat and only_the_spool and not self.lost


def run(count: int, rng: random.Random) -> Finding:
    """``count`` reconnects, and a hundred times as many events."""
    found = soak(count)
    remark = "; ".join(
        f"{name} {last.memory_bytes / 1e6:.0f} MB ({(last.memory_bytes - first.memory_bytes) / 1e6:+.1f}),"
        f" {last.descriptors} descriptors ({last.descriptors - first.descriptors:+}),"
        f" {last.threads} threads ({last.threads - first.threads:+})"
        for name, (first, last) in (("worker", found.worker), ("shipper", found.shipper))
    )
    return Finding(
        "T13", f"{count} reconnects", found.events, found.lost, found.duplicates, remark, found.holds
    )


def soak(reconnects: int) -> Soak:
    """Reconnects with events in between, then the rest of the events at once."""
    with (
        Collector(keep_events=1_000) as collector,
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory,
        standalone(Path(directory), log_level="error") as shipper,
        _soaker(shipper, collector) as worker,
    ):
        processes = psutil.Process(worker.pid), psutil.Process(shipper.popen.pid)
        session, events = _session(worker, shipper), 1
        for number in range(reconnects):
            _reconnect(worker, shipper, session)
            events += PIECE
            if number + 1 == max(1, int(reconnects * WARM)):
                events += _bulk(worker, int(reconnects * (EVENTS - PIECE) * WARM))
                _settled(collector, events)
                early = at_rest(processes)
        events += _bulk(worker, reconnects * EVENTS - events)
        _settled(collector, events)
        late = at_rest(processes, early)
        assert worker.stdin is not None
        worker.stdin.close()
        assert worker.wait(WAIT_S) == 0
        shipper.terminate()
        counts = collector.store.counts()
        files = tuple(path.name for path in Path(directory).iterdir() if not path.is_socket())
        worker_held, shipper_held = zip(early, late, strict=True)
        return Soak(events, events - counts.distinct, counts.duplicates, worker_held, shipper_held, files)


@contextmanager
def _soaker(shipper: ShipperProcess, collector: Collector) -> "Iterator[subprocess.Popen[bytes]]":
    argv = [sys.executable, str(HERE / "soaker.py"), str(shipper.socket), collector.url]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def _offer(worker: "subprocess.Popen[bytes]", count: int) -> None:
    """Have it offer, and do not wait."""
    assert worker.stdin is not None
    worker.stdin.write(b"%d\n" % count)
    worker.stdin.flush()


def _offered(worker: "subprocess.Popen[bytes]") -> None:
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"done\n"


def _bulk(worker: "subprocess.Popen[bytes]", count: int) -> int:
    if count > 0:
        _offer(worker, count)
        _offered(worker)
    return max(0, count)


def _reconnect(worker: "subprocess.Popen[bytes]", shipper: ShipperProcess, session: bytes) -> None:
    """Break the worker's connection while it offers: another one of its session fences it, and is fenced."""
    _offer(worker, PIECE)
    with Speaker(shipper.socket, WAIT_S) as intruder:
        intruder.session = session
        intruder.hello()
        _offered(worker)
        assert intruder.is_dropped(), "the worker comes again"


def _session(worker: "subprocess.Popen[bytes]", shipper: ShipperProcess) -> bytes:
    """The worker's, when it is connected."""
    _bulk(worker, 1)

    def found() -> list[str]:
        return [each["session"] for each in shipper.status().get("workers", ())]

    (session,) = eventually(found, WAIT_S, "the worker is connected")
    return bytes.fromhex(session)


def at_rest(
    processes: Sequence[psutil.Process], before: Sequence[Held] = (), spare: int = UPLOADS
) -> list[Held]:
    """What they hold, when they have let go of what was for the last events only."""

    def held() -> list[Held]:
        return [Held.of(process) for process in processes]

    def at_rest() -> bool:
        first = held()
        time.sleep(REST_S)
        same = [(each.descriptors, each.threads) for each in first]
        flat = all(each.is_no_more_than(one, spare) for each, one in zip(first, before, strict=False))
        return flat and same == [(each.descriptors, each.threads) for each in held()]

    with suppress(AssertionError):
        eventually(at_rest, RESTS_WITHIN_S, "they are at rest")
    return held()


def _settled(collector: Collector, events: int) -> None:
    collector.wait_for(lambda store: store.counts().distinct >= events, WAIT_S + events / 1_000)

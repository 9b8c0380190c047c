"""How much memory and disk a shipper takes: idle, at work, and over a large backlog."""

import sys
from pathlib import Path
from typing import NamedTuple

from lab.corpus import orders
from lab.filled_spool import Filler
from lab.process_cost import most_resident_bytes, resident_bytes
from lab.processes import eventually
from lab.shipper_process import channel_to, feed, standalone

from benchmarks.shipping import home, sink
from benchmarks.table import Row, Target
from benchmarks.workbench import QUICK, Workbench
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.wire.application import Application

AT_WORK_EVENTS = 50_000
BACKLOG = 1_000_000
QUICK_BACKLOG = 100_000
DELIVERED = 20_000
WITHIN_S = 300.0
MB = 1e-6


class Weighed(NamedTuple):
    """In bytes."""

    idle: int
    at_work: int
    over_backlog: int
    disk_an_event: float


def rows(bench: Workbench) -> list[Row]:
    """Beside a process that has imported the same libraries and does nothing."""
    backlog = QUICK_BACKLOG if bench.plan == QUICK else BACKLOG
    found = _weighed(bench, backlog)
    libraries = bench.answer(sys.executable, "benchmarks.subjects.libraries")["rss_bytes"]

    def memory(what: str, size: int, most: int) -> Row:
        target = Target(most, f"≤ {most} MB", absolute=True)
        return Row("P9", what, "MB", size * MB, libraries * MB, "its libraries alone", target)

    event_bytes = sum(len(payload) for _, payload in orders(1_000)) / 1_000
    return [
        memory("memory of an idle shipper", found.idle, 60),
        memory(f"most memory of a shipper, {AT_WORK_EVENTS:,} events as fast as it goes", found.at_work, 100),
        memory(f"most memory of a shipper with {backlog:,} events in the spool", found.over_backlog, 150),
        Row("P9", "disk of a spooled event", "B", found.disk_an_event, event_bytes, "frame", None),
    ]


def _weighed(bench: Workbench, backlog: int) -> Weighed:
    url = sink(bench, "weighed")[1]
    application = Application("application-of-the-benchmark", base_uri=url)
    directory = home(bench, "weighed")
    with standalone(directory, log_level="warning") as shipper:
        idle = resident_bytes(shipper.popen.pid)
        with channel_to(shipper, application) as channel:
            feed(channel, orders(AT_WORK_EVENTS))
            channel.drain(WITHIN_S, give_up=False)
        at_work = most_resident_bytes(shipper.popen.pid)
        shipper.terminate()
    disk = _fill(directory, application, backlog)
    with standalone(directory, log_level="warning") as shipper:
        eventually(lambda: shipper.spooled() <= backlog - DELIVERED, WITHIN_S, "it delivers")
        return Weighed(idle, at_work, most_resident_bytes(shipper.popen.pid), disk / backlog)


def _fill(directory: Path, application: Application, backlog: int) -> int:
    """Bytes on the disk that so many events take."""
    spool = open_spool(directory, max_bytes=8 << 30, min_free_bytes=0, durability="normal")
    Filler(spool, application).append(backlog)
    spool.close()
    return sum(file.stat().st_size for file in directory.glob("spool*"))

"""T14: stop the shipper again and again while it has a backlog and the collector is down."""

import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab.corpus import orders
from lab.processes import eventually
from lab.shipper_process import ShipperProcess, channel_to, feed, standalone

from campaigns.scene import APPLICATION_ID, Finding
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.wire.application import Application

COUNT = 100
BACKLOG = 100_000
DRAIN_S = 10.0
"""How long a stopping shipper may go on delivering: the default of ``moesif-shipper run``."""
EXIT_MARGIN_S = 1.0
"""For what a process does beside delivering before it has ended."""
BEGINS_S = 2.0
SETTLES_S = 120.0
DOWN = (Behaviour(status=503), Behaviour(reset=True), Behaviour(hang=True))
"""One after the other, from stop to stop."""


@dataclass(frozen=True, slots=True)
class Stops:
    """What came of them. Times in seconds, each the longest."""

    captured: int
    least_kept: int
    """Fewest events that a shipper found in its spool."""
    exit_s: float
    began_s: float
    """From the start of the last shipper to the first event that arrived."""
    lost: int
    duplicates: int

    @property
    def holds(self) -> bool:
        kept = self.least_kept == self.captured and not self.lost
        return kept and self.exit_s <= DRAIN_S + EXIT_MARGIN_S and self.began_s <= BEGINS_S


def run(count: int, rng: random.Random) -> Finding:
    """``count`` stops, the collector down in another way each time; then it is well."""
    found = stops(count, BACKLOG, rng)
    remark = (
        f"out within {found.exit_s:.2f} s, delivering {found.began_s:.2f} s after the start,"
        f" never fewer than {found.least_kept} in the spool"
    )
    done = f"stop with a backlog of {BACKLOG}, {count} times"
    return Finding("T14", done, found.captured, found.lost, found.duplicates, remark, found.holds)


def stops(count: int, backlog: int, rng: random.Random) -> Stops:
    """Fill a spool, stop its shipper ``count`` times, deliver."""
    with Collector() as collector, tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory:
        place = Path(directory)
        collector.behave(DOWN[0])
        with standalone(place) as shipper:
            captured, exit_s = _filled(shipper, collector, backlog)
        least_kept = backlog
        for number in range(1, count):
            collector.behave(DOWN[number % len(DOWN)])
            with standalone(place) as shipper:
                least_kept = min(least_kept, shipper.spooled())
                time.sleep(rng.uniform(0.0, 1.0))
                exit_s = max(exit_s, shipper.terminate())
        collector.behave(None)
        with standalone(place) as shipper:
            least_kept = min(least_kept, shipper.spooled() + collector.store.counts().distinct)
            collector.wait_for(lambda store: store.counts().distinct, SETTLES_S)
            began_s = time.monotonic() - shipper.began
            collector.wait_for(lambda store: store.counts().distinct >= len(captured), SETTLES_S)
        counts = collector.store.counts()
        lost = len(captured - collector.store.transaction_ids())
    return Stops(len(captured), least_kept, exit_s, began_s, lost, counts.duplicates)


def _filled(shipper: ShipperProcess, collector: Collector, backlog: int) -> tuple[set[str], float]:
    """The ids of what is in its spool now, and how long it took to stop."""
    with channel_to(shipper, Application(APPLICATION_ID, base_uri=collector.url)) as channel:
        captured = feed(channel, orders(backlog))
        eventually(lambda: shipper.spooled() == backlog, 60.0, "the whole backlog is in the spool")
    return captured, shipper.terminate()

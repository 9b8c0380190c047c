"""T4: the collector is down for an hour at 1,000 events/s; then it is back. The hour is accelerated.

The backlog goes through a real worker's channel as fast as the shipper stores it: first nobody listens where
the collector was, then it answers 503. Then it is well, and events come at 1,000/s while the backlog is
delivered.
"""

import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import orjson
from lab.corpus import orders
from lab.processes import eventually
from lab.shipper_process import ShipperProcess, channel_to, embedded, feed
from lab.tenants import EVENTS_PATH

from campaigns.scene import APPLICATION_ID, Finding
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.inspector.arrival import transaction_id_of
from moesifasgi.inspector.store import Store
from moesifasgi.shipper.stretch import FRESH_S
from moesifasgi.wire.application import Application

PER_SECOND = 1_000
COUNT = 3600 * PER_SECOND
CATCH_UP = 5
"""Times the live rate, at least."""
MAX_EVENT_BYTES = 400
"""Of the spool's files, for each event of the corpus."""
MAX_MEMORY_BYTES = 150_000_000
LATE_S = 10.0
SPOOL_MAX_BYTES = 8 << 30
KEEP_EVENTS = 20_000
SETTLES_S = 60.0
LEAST_PER_SECOND = 500
"""Slower than that, catching up is given up."""
REFUSED_EVENTS = 20_000
"""While the connection is refused, at most; the waits double with each attempt, and nobody names a time."""
STEP_S = 0.1
FRESH, MARK = "fresh", b'"user_id":"fresh"'
"""The user of the events that come while the backlog is delivered, and how they are known."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What came of it. Times in seconds, sizes in bytes."""

    captured: int
    lost: int
    duplicates: int
    event_bytes: float
    memory_bytes: int
    catch_up_s: float
    per_second: float
    """Delivered while there was a backlog, old and fresh together."""
    late_p95_s: float
    """From the end of a fresh call to its arrival."""

    @property
    def keeps_its_bounds(self) -> bool:
        small = self.event_bytes <= MAX_EVENT_BYTES and self.memory_bytes <= MAX_MEMORY_BYTES
        return not self.lost and small and self.late_p95_s <= LATE_S


def run(count: int, rng: random.Random) -> Finding:
    """A backlog of ``count`` events."""
    found = outage(count, PER_SECOND, rng)
    remark = (
        f"{found.event_bytes:.0f} bytes an event in the spool,"
        f" {found.memory_bytes / 1e6:.0f} MB of memory at most, caught up at {found.per_second:.0f} events/s,"
        f" 95 % of the fresh ones within {found.late_p95_s:.1f} s"
    )
    holds = found.keeps_its_bounds and found.per_second >= CATCH_UP * PER_SECOND
    done = f"collector down for {count} events"
    return Finding("T4", done, found.captured, found.lost, found.duplicates, remark, holds)


def outage(count: int, live_per_second: int, rng: random.Random, answers_after_s: float = 0.0) -> Outage:
    """Down for ``count`` events, then well; each answer takes ``answers_after_s`` from then on."""
    with (
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory,
        Collector(keep_events=KEEP_EVENTS) as collector,
        embedded(Path(directory), spool_max_bytes=SPOOL_MAX_BYTES) as shipper,
        channel_to(shipper, Application(APPLICATION_ID, base_uri=collector.url)) as channel,
        _watched(shipper) as memory,
    ):
        captured = _down(collector, shipper, channel, count, rng)
        event_bytes = shipper.spool_bytes() / count
        collector.behave(Behaviour(delay_s=answers_after_s))
        collector.wait_for(lambda store: store.counts().distinct, SETTLES_S)
        # Until now the collector was down, as far as the shipper could know.
        began = time.monotonic()
        with _live(channel, collector, live_per_second, rng) as live:
            # Caught up: what is still under way is what came within the last two seconds.
            collector.wait_for(
                lambda store: store.counts().distinct >= count + len(live.offered) - 2 * live_per_second,
                count / LEAST_PER_SECOND + SETTLES_S,
            )
            catch_up_s = time.monotonic() - began
            delivered = collector.store.counts().distinct
        captured |= live.offered
        collector.wait_for(lambda store: store.counts().distinct >= len(captured), SETTLES_S)
        live.look()
        lost = captured.difference(map(transaction_id_of, collector.store.identities()))
        return Outage(
            captured=len(captured),
            lost=len(lost),
            duplicates=collector.store.counts().duplicates,
            event_bytes=event_bytes,
            memory_bytes=max(memory),
            catch_up_s=catch_up_s,
            per_second=delivered / catch_up_s,
            late_p95_s=live.late_p95_s(),
        )


def _down(
    collector: Collector, shipper: ShipperProcess, channel: UnixChannel, count: int, rng: random.Random
) -> set[str]:
    """The ids of ``count`` events, all in the spool, the oldest for longer than what counts as fresh."""
    collector.close()
    first, second = rng.getrandbits(32), rng.getrandbits(32)
    refused = min(count // 2, REFUSED_EVENTS)
    captured = feed(channel, orders(refused, seed=first))
    # A time is named, so that the length of the test does not depend on chance.
    collector.behave(Behaviour(status=503, headers={"Retry-After": "1"}))
    collector.start()
    captured |= feed(channel, orders(count - refused, seed=second))
    eventually(lambda: shipper.spooled() == count, SETTLES_S, "the whole backlog is in the spool")
    met = f"POST {EVENTS_PATH}/batch 503"
    eventually(lambda: met in collector.store.requests(), SETTLES_S, "it has met the 503")
    eventually(lambda: shipper.status()["spool"]["oldest_age_seconds"] > FRESH_S, SETTLES_S, "it is old")
    return captured


class Live(threading.Thread):
    """Calls that go on while the backlog is delivered, and how late they arrive."""

    def __init__(self, channel: UnixChannel, store: Store, per_second: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.offered: set[str] = set()
        self._late_s: dict[bytes | None, float] = {}
        self._looked_at = 0.0
        self._channel = channel
        self._store = store
        self._per_step = max(1, round(per_second * STEP_S))
        self._calls = orders(1 << 40, seed=seed, user_id=FRESH)
        self._stopping = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due += STEP_S
            self.offered |= feed(self._channel, islice(self._calls, self._per_step))
            self.look()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def look(self) -> None:
        """See what has arrived since the last look."""
        seen_at = self._looked_at
        for kept in self._store.newest():
            self._looked_at = max(self._looked_at, kept.at)
            if kept.at < seen_at:
                break
            if MARK in kept.raw:
                ended_at = datetime.fromisoformat(orjson.loads(kept.raw)["response"]["time"])
                self._late_s[kept.identity] = kept.at - ended_at.replace(tzinfo=UTC).timestamp()

    def late_p95_s(self) -> float:
        """How late 95 % of those that were seen are at most; endless where none was."""
        seen = sorted(self._late_s.values())
        return seen[int(0.95 * (len(seen) - 1))] if seen else float("inf")


@contextmanager
def _live(channel: UnixChannel, collector: Collector, per_second: int, rng: random.Random) -> Iterator[Live]:
    live = Live(channel, collector.store, per_second, rng.getrandbits(32))
    live.start()
    try:
        yield live
    finally:
        live.stop()


@contextmanager
def _watched(shipper: ShipperProcess) -> Iterator[list[int]]:
    """What the shipper's memory is, looked at again and again until the block ends; bytes."""
    seen = [shipper.memory_bytes()]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(STEP_S):
            seen.append(shipper.memory_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()

"""T8: a disk that answers with errors, or takes its time, under a running shipper."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import failing_disk
from lab.failing_disk import READS, SYNCS, WRITES, failing, slow
from lab.processes import eventually
from lab.requirement import require
from lab.shipper_process import ShipperProcess, channel_to, standalone
from lab.stepped import identified

from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

RECOVERS_IN_S = 5.0
NOTICED_IN_S = 20.0
DELIVERED_IN_S = 30.0
EVENT_BYTES = 4_000


class Worker:
    """Offers user updates, and knows which."""

    def __init__(self, channel: UnixChannel) -> None:
        self.channel = channel
        self.offered: set[str] = set()

    def offer(self, count: int) -> float:
        """Offer so many; returns the seconds that it took."""
        ids = [f"user-{len(self.offered) + number}" for number in range(count)]
        payloads = [identified("", user_id=each, metadata={"filling": "x" * EVENT_BYTES}) for each in ids]
        began = time.monotonic()
        for payload in payloads:
            self.channel.offer(Kind.USER, 0, payload)
        self.offered.update(ids)
        return time.monotonic() - began


@contextmanager
def worker_of(shipper: ShipperProcess, collector: Collector) -> Iterator[Worker]:
    """A worker; in the end all that it offered is delivered, and the books agree."""
    application = Application("an-application-on-a-bad-disk", base_uri=collector.url, batch_timeout_s=0.05)
    with channel_to(shipper, application) as channel:
        worker = Worker(channel)
        yield worker
        eventually(
            lambda: shipper.counters()["received"] == len(worker.offered),
            RECOVERS_IN_S,
            "all is in the spool",
        )
        collector.behave(None)
        collector.wait_for(
            lambda store: store.counts("users").distinct == len(worker.offered), DELIVERED_IN_S
        )
        assert collector.store.counts("users").distinct == len(worker.offered)
        eventually(lambda: shipper.status()["healthy"], RECOVERS_IN_S, "it is healthy again")
        assert shipper.counters()["difference"] == 0
        assert shipper.counters()["dropped"] == {}


@pytest.fixture
def shipper(short_dir: Path) -> Iterator[ShipperProcess]:
    require(failing_disk.missing_right())
    with standalone(short_dir) as started:
        yield started


def reasons(shipper: ShipperProcess) -> str:
    return " · ".join(shipper.status().get("reasons", []))


def test_a_disk_that_cannot_be_written_costs_time_and_no_event(
    shipper: ShipperProcess, collector: Collector
) -> None:
    with worker_of(shipper, collector) as worker:
        worker.offer(20)
        eventually(lambda: shipper.counters()["received"] == 20, RECOVERS_IN_S, "the disk is fine")
        with failing(shipper.popen.pid, *WRITES):
            worker.offer(300)
            said = eventually(lambda: reasons(shipper), NOTICED_IN_S, "status says why")
            assert "the spool cannot store events: the spool failed: disk I/O error" in said
            assert shipper.popen.poll() is None
            eventually(
                lambda: worker.channel.stats()["ring_events"] == 300,
                RECOVERS_IN_S,
                "only what is stored is acked",
            )
    assert worker.channel.stats()["acked"] == 320


def test_a_disk_that_cannot_be_read_costs_time_and_no_event_and_status_answers(
    shipper: ShipperProcess, collector: Collector
) -> None:
    collector.behave(Behaviour(status=503, headers={"Retry-After": "1"}))
    with worker_of(shipper, collector) as worker:
        worker.offer(4_000)
        eventually(lambda: shipper.counters()["received"] == 4_000, 4 * RECOVERS_IN_S, "all is in the spool")
        with failing(shipper.popen.pid, *READS):
            collector.behave(None)
            eventually(lambda: "disk I/O error" in reasons(shipper), NOTICED_IN_S, "status says why")
            assert shipper.popen.poll() is None


def test_a_slow_disk_holds_up_nobody_who_offers(shipper: ShipperProcess, collector: Collector) -> None:
    delay_s = 0.2
    with worker_of(shipper, collector) as worker, slow(shipper.popen.pid, *SYNCS, delay_s=delay_s):
        took_s = [worker.offer(50) for _ in range(4)]
        assert max(took_s) < delay_s
        eventually(lambda: shipper.counters()["received"] == 200, NOTICED_IN_S, "all is in the spool")

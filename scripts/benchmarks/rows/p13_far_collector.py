"""P13: how fast a backlog is delivered to a collector that is far away, with default settings."""

import statistics
import threading
import time
from pathlib import Path

import requests
from lab.corpus import orders
from lab.filled_spool import Filler
from lab.shipper_process import standalone

from benchmarks.shipping import home, sink
from benchmarks.table import Row, Target
from benchmarks.workbench import Subject, Workbench
from moesifasgi.shipper.compression import gzip_bytes
from moesifasgi.shipper.payload import encode_item, pack
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

DELAY_S = 0.08
BACKLOG = 20_000
BATCH, CONNECTIONS = 200, 4
"""What the defaults come to while there is a backlog."""
MOST_ROUNDS = 10
WITHIN_S = 120.0


def measure(bench: Workbench) -> list[Row]:
    """Beside as many connections that upload batches made beforehand, one after the other."""
    collector, url = sink(bench, "far", DELAY_S)
    body = gzip_bytes(pack([encode_item(Kind.RECORD, payload) for _, payload in orders(BATCH)]))
    rounds = [
        {"ours": _ours(bench, collector, url, number), "floor": _floor(collector, url, body)}
        for number in range(min(MOST_ROUNDS, bench.plan.rounds))
    ]
    samples = {name: [each[name] for each in rounds] for name in ("ours", "floor")}
    ours, floor = (statistics.median(samples[name]) * 1e6 for name in ("ours", "floor"))
    what = f"time to deliver 1,000 of a backlog, collector {DELAY_S * 1e3:g} ms away"
    target = Target(200, "≤ 200 ms (5,000 events/s)", absolute=True)
    return [Row("P13", what, "ms", ours, floor, f"{CONNECTIONS} bare connections", target, samples)]


def _ours(bench: Workbench, collector: Subject, url: str, number: int) -> float:
    """Seconds an event, from the first arrival to the last."""
    directory = home(bench, f"far-{number}")
    _fill(directory, Application("application-of-the-benchmark", base_uri=url))
    with standalone(directory, log_level="warning") as shipper:
        deadline = time.monotonic() + WITHIN_S
        while shipper.spooled():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not delivered: {shipper.log()}")
            time.sleep(0.1)
    return _seconds_an_event(collector)


def _fill(directory: Path, application: Application) -> None:
    spool = open_spool(directory, max_bytes=1 << 30, min_free_bytes=0, durability="normal")
    Filler(spool, application).append(BACKLOG)
    spool.close()


def _floor(collector: Subject, url: str, body: bytes) -> float:
    def upload() -> None:
        with requests.Session() as session:
            for _ in range(BACKLOG // BATCH // CONNECTIONS):
                session.post(f"{url}/v1/events/batch", body)

    threads = [threading.Thread(target=upload) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _seconds_an_event(collector)


def _seconds_an_event(collector: Subject) -> float:
    seen = collector.turn(0)
    if seen["events"] != BACKLOG:
        raise RuntimeError(f"{seen['events']} events arrived, not {BACKLOG}")
    return float(seen["seconds"]) / BACKLOG

"""B1, B2, B4, B9, B10: faults of the published transport, with real servers, shippers and a collector.

B3 (no flush at exit) is in ``tests/e2e/test_main_job.py``, for scripts in ``tests/channel/test_leaving.py``.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import msgpack
import pytest
from campaigns.scene import APPLICATION_ID, HERE
from lab.corpus import orders
from lab.processes import eventually
from lab.servers import Server, running
from lab.shipper_process import channel_to, embedded, feed, standalone

from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.places import LOG_NAME, SOCKET_NAME
from moesifasgi.shipper.tool import ask_status
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

SECRET = "a body that belongs in no log"
ARRIVE_S = 25.0
EVENTS = "/v1/events"


def serving(directory: Path, collector: Collector, **environment: str) -> AbstractContextManager[Server]:
    """One uvicorn worker whose shipper spools in ``directory``."""
    return running(
        app="application:app",
        workers=1,
        cwd=HERE,
        env={
            "MOESIF_APPLICATION_ID": APPLICATION_ID,
            "MOESIF_BASE_URI": collector.url,
            "MOESIF_SPOOL_DIR": str(directory),
            "MOESIF_SHIPPER_SOCKET": f"{directory}/no-standalone-shipper.sock",
            **environment,
        },
    )


def answered(server: Server, count: int) -> set[str]:
    """The transaction ids of so many answers."""
    ids = set()
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=10.0)) as connection:
        for _ in range(count):
            connection.request("POST", "/orders", b"{}", {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            ids.add(str(answer.headers["X-Moesif-Transaction-Id"]))
    return ids


def arrive(collector: Collector, ids: set[str]) -> bool:
    return collector.wait_for(lambda store: store.counts().distinct >= len(ids), ARRIVE_S) and (
        ids <= collector.store.transaction_ids()
    )


@dataclass(frozen=True)
class Mishap:
    """What a person can see after an upload was refused and the collector was away for a while."""

    ids: set[str]
    collector: Collector
    refusals: int
    server_log: str
    shipper_log: str


@pytest.fixture(scope="module")
def mishap() -> Iterator[Mishap]:
    with (
        Collector() as collector,
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as short_path,
        serving(directory := Path(short_path), collector) as server,
    ):
        collector.behave(Behaviour(status=500, body=SECRET, times=1, path_prefix=EVENTS))
        ids = answered(server, 20)
        assert arrive(collector, ids)
        refusals = collector.store.requests()[f"POST {EVENTS}/batch 500"]
        collector.close()
        ids |= answered(server, 20)
        socket = directory / SOCKET_NAME
        eventually(lambda: "connection failed" in str(ask_status(socket)["reasons"]), 5.0, "nobody is met")
        collector.start()
        assert arrive(collector, ids)
        server.terminate()
        yield Mishap(ids, collector, refusals, server.log(), (directory / LOG_NAME).read_text())


def test_a_batch_that_is_refused_or_meets_nobody_is_sent_again(mishap):
    """B1: one attempt, and the batch is gone; where nobody listens, one more at once and a line on stdout."""
    counts = mishap.collector.store.counts()
    assert mishap.refusals == 1
    assert (counts.distinct, counts.duplicates) == (len(mishap.ids), 0)
    assert "moesif" not in mishap.server_log.lower()


def test_failing_uploads_are_a_line_for_each_cause_without_answers_or_tracebacks(mishap):
    """B9: each failed batch is an error with the collector's whole answer and a traceback."""
    assert SECRET not in mishap.server_log + mishap.shipper_log
    assert "Traceback" not in mishap.server_log + mishap.shipper_log
    lines = [line for line in mishap.shipper_log.splitlines() if "events of" in line]
    assert len(lines) == 1
    assert APPLICATION_ID not in mishap.shipper_log


def test_a_thousand_requests_are_delivered_as_fast_as_they_come(short_dir, collector):
    """B2: a hundred events a second at most, and fewer if an answer takes longer than a second."""
    with serving(short_dir, collector) as server:
        first = answered(server, 1)
        assert arrive(collector, first)
        collector.behave(Behaviour(delay_s=0.3, path_prefix=EVENTS))
        ids = first | answered(server, 1_000)
        ended_at = time.monotonic()
        assert arrive(collector, ids)
        assert time.monotonic() - ended_at < 2.5
        server.terminate()


def test_a_collector_that_never_answers_holds_up_neither_the_end_of_the_server_nor_later_uploads(
    short_dir, collector
):
    """B4: no time limit: the process did not end, and uploads stopped for ever."""
    collector.behave(Behaviour(hang=True, path_prefix=EVENTS))
    with serving(short_dir, collector, MOESIF_SHUTDOWN_TIMEOUT="0.5") as server:
        ids = answered(server, 50)
        eventually(lambda: collector.store.uploads_in_flight, 5.0, "an upload hangs")
        assert server.terminate().seconds < 2.0
    collector.behave(None)
    with standalone(short_dir):
        assert arrive(collector, ids)


def test_nothing_is_dropped_without_a_count_and_a_reason(short_dir, collector):
    """B10: a bare except around the making of a batch hides whatever happens there."""
    collector.behave(Behaviour(status=503, headers={"Retry-After": "1"}, path_prefix=EVENTS))
    refused = msgpack.packb({"request": {}})
    with embedded(short_dir, spool_max_bytes=300_000) as shipper:
        with channel_to(shipper, Application(APPLICATION_ID, base_uri=collector.url)) as channel:
            for payload in (b"\xc1", refused):
                channel.offer(Kind.EVENT, 0, payload)
            calls = list(orders(3_000))
            ids = feed(channel, calls)
            eventually(lambda: shipper.counters()["received"] == 3_002, ARRIVE_S, "all is taken")
            collector.behave(None)
            eventually(lambda: not shipper.spooled(), ARRIVE_S, "all has its fate")
        counters = shipper.counters()
    arrived = collector.store.transaction_ids()
    assert arrived < ids
    assert arrived > {made for made, _ in calls[:500]}, "what came first is kept"
    assert counters["delivered"] == len(arrived)
    assert counters["dead_lettered"] == 2
    assert counters["dropped"] == {"spool_full": 3_000 - len(arrived)}
    assert counters["difference"] == 0

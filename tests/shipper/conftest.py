"""Delivery over a memory spool and a real collector, with waits short enough for tests."""

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from moesifasgi.inspector import Collector
from moesifasgi.shipper.delivery import Delivery
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.http import Timeouts
from moesifasgi.shipper.retry import Backoff
from moesifasgi.shipper.spool import Chunk, Item, Lane, Spool
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.uploader import Uploader
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

SESSION = b"s" * 16
QUICK = Pace(Backoff(base_s=0.05, cap_s=0.2, floor_s=0.05), probe_s=0.1)
A, B = "a" * 56 + "AAAA", "b" * 56 + "BBBB"
KINDS = {"events": Kind.EVENT, "users": Kind.USER, "companies": Kind.COMPANY}


class Rig:
    """One delivery loop, and what a test wants to do to it."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.spool: Spool = MemorySpool()
        self.applications: dict[str, Application] = {}
        self.delivery: Delivery
        self.answers: list[tuple[bool, str]] = []
        self._sequences = itertools.count(1)

    def start(self, pace: Pace = QUICK, timeouts: Timeouts | None = None, **options: Any) -> Delivery:
        uploader = Uploader(timeouts=timeouts)
        self.delivery = Delivery(self.spool, self.applications, uploader, pace=pace, **options)
        self.delivery.start()
        return self.delivery

    def know(self, application_id: str = A, **settings: Any) -> Application:
        settings = {"base_uri": self.collector.url, "batch_timeout_s": 0.02} | settings
        self.applications[application_id] = Application(application_id, **settings)
        return self.applications[application_id]

    def append(
        self, *payloads: bytes, application_id: str = A, stream: str = "events", kind: int | None = None
    ) -> None:
        sequences = tuple(next(self._sequences) for _ in payloads)
        kind = KINDS[stream] if kind is None else kind
        items = tuple(Item(kind, payload) for payload in payloads)
        chunk = Chunk(Lane(application_id, stream), SESSION, sequences, items)
        self.spool.append([chunk], {SESSION: sequences[-1]})
        if hasattr(self, "delivery"):
            self.delivery.notify()

    def drain(self, **options: Any) -> None:
        options = {"give_up": False, "timeout_s": 5.0} | options
        self.delivery.drain(on_done=lambda *answer: self.answers.append(answer), **options)

    def distinct(self, count: int, stream: str = "events", timeout_s: float = 5.0) -> bool:
        """Whether so many different items arrive in time."""
        return self.collector.wait_for(lambda store: store.counts(stream).distinct == count, timeout_s)

    def state(self, application_id: str = A) -> str | None:
        """What status says of an application."""
        entry = self.delivery.status()["applications"].get(application_id)
        return entry["state"] if entry else None

    def requests(self) -> int:
        return sum(self.collector.store.requests().values())


@pytest.fixture
def rig(collector: Collector) -> Iterator[Rig]:
    made = Rig(collector)
    made.know()
    yield made
    if hasattr(made, "delivery"):
        made.delivery.close(0.0)


@pytest.fixture
def event() -> Callable[..., bytes]:
    """Makes a finished event as a worker packs it; keywords replace fields."""

    def make(**fields: Any) -> bytes:
        request = {"time": _now(), "uri": "http://h/p", "verb": "GET", "headers": {}}
        return msgpack.packb({"transaction_id": str(uuid.uuid4()), "request": request, **fields})

    return make


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits for a condition, up to a deadline."""

    def wait(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.005)

    return wait


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000", time.gmtime())

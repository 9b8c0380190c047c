"""T9: the shipper is stopped, absent, or behind a socket that may not be opened. Requests do not notice."""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from lab.processes import eventually
from lab.servers import Server, running
from lab.shipper_process import ShipperProcess, standalone

from campaigns.scene import APPLICATION_ID, HERE, Finding
from campaigns.steady import BODY, TIMEOUT_S, TRANSACTION_HEADER
from moesifasgi.inspector import Collector

COUNT = 6
"""Turns of each fault, with a healthy turn before each."""
HOLD_S = 60.0
"""How long the last fault of each kind lasts."""
PAUSE_S = 0.1
"""Between handfuls of requests in that time: the ring has room for all of them."""
REQUESTS = 400
"""In each turn."""
RATIO = 1.1
RESUMES_S = 2.0
SETTLES_S = 30.0
OBEDIENT = (
    "setpriv",
    "--inh-caps=-dac_override,-dac_read_search",
    "--bounding-set=-dac_override,-dac_read_search",
)
"""Before a command: root that obeys the modes of files."""


@dataclass(frozen=True, slots=True)
class Away:
    """What came of one kind of fault. Seconds."""

    name: str
    healthy_s: float
    """The median request, the shipper being well."""
    away_s: float
    """The median request, while it was not."""
    resumed_s: float
    """From the end of the fault to the first arrival; the longest."""

    @property
    def ratio(self) -> float:
        return self.away_s / self.healthy_s

    def __str__(self) -> str:
        return (
            f"{self.name}: a request takes {self.ratio:.3f} times its {self.healthy_s * 1e6:.0f} µs,"
            f" events again after {self.resumed_s:.2f} s"
        )


class Stage:
    """A worker, its standalone shipper, and a collector."""

    def __init__(self, server: Server, collector: Collector, place: Path, stack: ExitStack) -> None:
        self.answered: set[str] = set()
        self._collector = collector
        self._place = place
        self._stack = stack
        self._connection = HTTPConnection(urlsplit(server.url).netloc, timeout=TIMEOUT_S)
        stack.callback(self._connection.close)
        self._shipper = self._started()

    def ask(self, requests: int) -> list[float]:
        """So many requests, one after the other; returns how long each took."""
        took = []
        for _ in range(requests):
            began = time.perf_counter()
            self._connection.request("POST", "/orders", BODY, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            answer.read()
            took.append(time.perf_counter() - began)
            self.answered.add(str(answer.headers[TRANSACTION_HEADER]))
        return took

    def all_arrived(self) -> bool:
        return self.answered <= self._collector.store.transaction_ids()

    def has_resumed(self) -> bool:
        """Whether anything has arrived of what was asked last."""
        self.ask(1)
        return self._collector.store.counts().distinct > self._arrived_before

    @contextmanager
    def stopped(self) -> Iterator[None]:
        process = psutil.Process(self._shipper.popen.pid)
        process.suspend()
        yield
        self._note()
        process.resume()

    @contextmanager
    def absent(self) -> Iterator[None]:
        self._shipper.terminate()
        yield
        self._note()
        self._shipper = self._started()

    @contextmanager
    def not_permitted(self) -> Iterator[None]:
        self._place.chmod(0)
        self._shipper.terminate()
        self._shipper = self._started()
        yield
        self._note()
        self._place.chmod(0o700)

    def _note(self) -> None:
        self._arrived_before = self._collector.store.counts().distinct

    def _started(self) -> ShipperProcess:
        return self._stack.enter_context(standalone(self._place))


@contextmanager
def stage() -> Iterator[Stage]:
    """The shipper listens in a directory of its own; what workers keep goes to another."""
    with (
        Collector() as collector,
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory,
        ExitStack() as stack,
    ):
        place, state = Path(directory, "shipper"), Path(directory, "state")
        place.mkdir(mode=0o700)
        environment = {
            "MOESIF_APPLICATION_ID": APPLICATION_ID,
            "MOESIF_BASE_URI": collector.url,
            "MOESIF_TRANSPORT": "unix",
            "MOESIF_SPOOL_DIR": str(state),
            "MOESIF_SHIPPER_SOCKET": str(place / "shipper.sock"),
        }
        prefix = OBEDIENT if os.geteuid() == 0 else ()
        with running(
            app="application:app",
            workers=1,
            cwd=HERE,
            env=environment,
            prefix=prefix,
            extra=("--log-level", "warning"),
        ) as server:
            yield Stage(server, collector, place, stack)


def away(on: Stage, name: str, turns: int, requests: int, hold_s: float) -> Away:
    """Healthy and faulty turns in alternation; in the last the fault lasts ``hold_s``."""
    fault: Callable[[], object] = getattr(on, name)
    healthy, faulty, resumed_s = [], [], 0.0
    for turn in range(turns):
        eventually(on.all_arrived, SETTLES_S, "all arrive")
        healthy += on.ask(requests)
        with fault():  # type: ignore[attr-defined]
            until = time.monotonic() + (hold_s if turn == turns - 1 else 0.0)
            faulty += on.ask(requests)
            while time.monotonic() < until:
                on.ask(10)
                time.sleep(PAUSE_S)
        ended_at = time.monotonic()
        eventually(on.has_resumed, SETTLES_S, "events arrive again")
        resumed_s = max(resumed_s, time.monotonic() - ended_at)
    return Away(name.replace("_", " "), statistics.median(healthy), statistics.median(faulty), resumed_s)


def run(count: int, rng: random.Random) -> Finding:
    """Each fault ``count`` times."""
    with stage() as on:
        kinds = [away(on, name, count, REQUESTS, HOLD_S) for name in ("stopped", "absent", "not_permitted")]
        eventually(on.all_arrived, SETTLES_S, "all arrive")
        holds = all(kind.ratio <= RATIO and kind.resumed_s <= RESUMES_S for kind in kinds)
        remark = "; ".join(map(str, kinds))
        return Finding("T9", f"shipper away, {count} times in 3 ways", len(on.answered), 0, 0, remark, holds)

"""T9: the shipper is stopped or absent, its socket gone or closed to workers. Requests do not notice.

On every server short faults alternate with healthy turns, to compare what a request takes. ``T9-held`` has
long ones, on all servers at once.
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from lab.fenced import cut_connections
from lab.processes import eventually
from lab.servers import Server, running
from lab.setups import SETUPS, Setup
from lab.shipper_process import ShipperProcess, standalone

from campaigns.scene import APPLICATION_ID, HERE, Finding
from campaigns.servers_held import note
from campaigns.steady import BODY, TIMEOUT_S, TRANSACTION_HEADER
from moesifasgi.inspector import Collector
from moesifasgi.wire.application import Application

COUNT = 4
"""Turns of each fault, with a healthy turn before each."""
FAULTS = ("stopped", "absent", "deleted", "not_permitted")
PAUSE_S = 0.5
"""Between handfuls of requests while a fault is held: the ring has room for all of them."""
REQUESTS = 300
"""In each turn."""
CONNECTIONS = 4
"""So that each worker has its share."""
RATIO = 1.1
RESUMES_S = 2.0
SETTLES_S = 30.0
OBEDIENT = (
    "setpriv",
    "--inh-caps=-dac_override,-dac_read_search",
    "--bounding-set=-dac_override,-dac_read_search",
)
"""Before a command: root that obeys the modes of files."""
_SERVERS_CPU = min(os.sched_getaffinity(0))
_ON_ONE_CPU = ("taskset", "--cpu-list", str(_SERVERS_CPU))
"""Else a server with several threads (granian) takes twice as long or not, with nothing of ours in it, as its
threads happen to lie: on two processors that sleep meanwhile, or on one."""
_QUIET = {"uvicorn": ("--log-level", "warning")}


@dataclass(frozen=True, slots=True)
class Away:
    """What came of one kind of fault. Seconds."""

    name: str
    healthy_s: float
    """The median request, the shipper being well."""
    away_s: float
    """The median request, while it was not."""
    resumed_s: float
    """From the end of the fault to the arrival of what every connection asked then; the longest."""

    @property
    def ratio(self) -> float:
        return self.away_s / self.healthy_s

    @property
    def holds(self) -> bool:
        return self.ratio <= RATIO and self.resumed_s <= RESUMES_S

    def __str__(self) -> str:
        return (
            f"{self.name.replace('_', ' ')} {self.ratio:.3f} times {self.healthy_s * 1e6:.0f} µs,"
            f" again after {self.resumed_s:.2f} s"
        )


class Stage:
    """A server, its workers' standalone shipper, and a collector."""

    def __init__(self, server: Server, collector: Collector, place: Path, stack: ExitStack) -> None:
        self.answered: set[str] = set()
        self._server = server
        self._collector = collector
        self._place = place
        self._stack = stack
        address = urlsplit(server.url).netloc
        self._connections = [HTTPConnection(address, timeout=TIMEOUT_S) for _ in range(CONNECTIONS)]
        for connection in self._connections:
            stack.callback(connection.close)
        self._shipper = self._started()

    def ask(self, requests: int) -> list[float]:
        """So many requests, one after the other; returns how long each took.

        What a worker does after its answer delays the next one of the same connection: so they go in a row.
        """
        each = -(-requests // len(self._connections))
        with _beside_the_server():
            return [self._asked(connection) for connection in self._connections for _ in range(each)]

    def is_up(self) -> bool:
        """Whether every worker is connected."""
        served = {worker["pid"] for worker in self._shipper.status().get("workers", ())}
        return len(served) >= len(self._server.worker_pids())

    def all_arrived(self) -> bool:
        return self.answered <= self._collector.store.transaction_ids()

    def missing(self) -> int:
        return len(self.answered - self._collector.store.transaction_ids())

    @contextmanager
    def stopped(self) -> Iterator[None]:
        process = psutil.Process(self._shipper.popen.pid)
        process.suspend()
        yield
        process.resume()

    @contextmanager
    def absent(self) -> Iterator[None]:
        self._shipper.terminate()
        yield
        self._shipper = self._started()

    @contextmanager
    def deleted(self) -> Iterator[None]:
        """With something else in the socket's place, so that it stays away; connections are cut besides."""
        path = self._shipper.socket

        def replace() -> None:
            path.unlink()
            path.mkdir()

        application = Application(APPLICATION_ID, base_uri=self._collector.url)
        cut_connections(path, self._shipper.status()["workers"], application, replace)
        yield
        path.rmdir()

    @contextmanager
    def not_permitted(self) -> Iterator[None]:
        self._place.chmod(0)
        self._shipper.terminate()
        self._shipper = self._started()
        yield
        self._place.chmod(0o700)

    def resumed(self) -> float:
        """Ask over each connection; returns how long it takes until all of that has arrived."""
        asked_at, before = time.monotonic(), set(self.answered)
        self.ask(len(self._connections))
        fresh = self.answered - before
        eventually(lambda: fresh <= self._collector.store.transaction_ids(), SETTLES_S, "events arrive again")
        return time.monotonic() - asked_at

    def _asked(self, connection: HTTPConnection) -> float:
        try:
            return self._answered(connection)
        except (HTTPException, ConnectionError):
            # Servers close connections that were idle for a while.
            connection.close()
            return self._answered(connection)

    def _answered(self, connection: HTTPConnection) -> float:
        began = time.perf_counter()
        connection.request("POST", "/orders", BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        took_s = time.perf_counter() - began
        self.answered.add(str(answer.headers[TRANSACTION_HEADER]))
        return took_s

    def _started(self) -> ShipperProcess:
        return self._stack.enter_context(standalone(self._place))


@contextmanager
def _beside_the_server() -> Iterator[None]:
    """This thread is on other processors than the server."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {_SERVERS_CPU} or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def stage(setup: Setup) -> Iterator[Stage]:
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
            "MOESIF_EVENT_BATCH_TIMEOUT": "0.1",
        }
        with running(
            setup.server,
            "application:app",
            workers=setup.workers,
            cwd=HERE,
            env=environment,
            prefix=(*(OBEDIENT if os.geteuid() == 0 else ()), *_ON_ONE_CPU, *setup.prefix),
            extra=(*setup.options, *_QUIET.get(setup.server, ())),
        ) as server:
            on = Stage(server, collector, place, stack)
            on.ask(CONNECTIONS * 2)
            yield on


def away(on: Stage, name: str, turns: int, requests: int, hold_s: float = 0.0) -> Away:
    """Healthy and faulty turns in alternation; in the last the fault lasts ``hold_s``."""
    healthy, faulty, resumed_s = [], [], 0.0
    for turn in range(turns):
        eventually(on.is_up, SETTLES_S, "all are connected")
        eventually(on.all_arrived, SETTLES_S, "all arrive")
        healthy += on.ask(requests)
        fault: AbstractContextManager[None] = getattr(on, name)()
        with fault:
            until = time.monotonic() + (hold_s if turn == turns - 1 else 0.0)
            faulty += on.ask(requests)
            while time.monotonic() < until:
                on.ask(10)
                time.sleep(PAUSE_S)
        resumed_s = max(resumed_s, on.resumed())
    return Away(name, statistics.median(healthy), statistics.median(faulty), resumed_s)


def run(count: int, rng: random.Random) -> Finding:
    """Each fault ``count`` times on each server, one server after the other."""
    remarks, answered, lost, holds = [], 0, 0, True
    for setup in SETUPS:
        try:
            kinds, answered_here, lost_here = _tried(setup, count)
        except AssertionError as error:
            remarks.append(f"{setup.name}: NOT to be told, {error}")
            holds = False
            continue
        remarks.append(f"{setup.name}: {'; '.join(map(str, kinds))}")
        answered, lost = answered + answered_here, lost + lost_here
        holds = holds and not lost_here and all(kind.holds for kind in kinds)
    done = f"shipper away, {count} times in {len(FAULTS)} ways on {len(SETUPS)} servers"
    return Finding("T9", done, answered, lost, 0, "\n  " + "\n  ".join(remarks), holds)


def _tried(setup: Setup, turns: int) -> tuple[list[Away], int, int]:
    """Each fault on this server; how many requests it answered, and of how many the event is lost."""
    with stage(setup) as on:
        kinds = [away(on, name, turns, REQUESTS) for name in FAULTS]
        answered, lost = len(on.answered), lost_at_last(on)
    note(
        setup.name,
        "away",
        {
            "ratio": round(max(kind.ratio for kind in kinds), 3),
            "resumed_s": round(max(kind.resumed_s for kind in kinds), 2),
            "answered": answered,
            "lost": lost,
        },
    )
    return kinds, answered, lost


def lost_at_last(on: Stage) -> int:
    """Of what was answered, when all has had its time to arrive."""
    deadline = time.monotonic() + SETTLES_S
    while on.missing() and time.monotonic() < deadline:
        time.sleep(0.05)
    return on.missing()

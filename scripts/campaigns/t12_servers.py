"""T12 on every server: its workers have one shipper; another, once that is killed; none in the end.

A server with one worker is started several times at once, over the same directory.
"""

import random
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from lab.processes import eventually, has_ended, kill_all, shippers_of
from lab.servers import CONTAINER, Server, running
from lab.setups import SETUPS, Setup, Way

from campaigns.scene import APPLICATION_ID, HERE, Finding
from campaigns.servers_held import note
from campaigns.steady import SteadyLoad
from campaigns.t12_election import COMES_S, ORPHAN_S, REPLACED_S, may_stay, served_in, status_of
from moesifasgi.inspector import Collector
from moesifasgi.places import SOCKET_NAME

COUNT = 1
WORKERS = 4
PER_SECOND = 100.0
"""Of each server."""
SERVES_S = 0.5
"""So long there is traffic before and after the kill."""
ENDS_S = 20.0


@dataclass(frozen=True, slots=True)
class Election:
    """What came of one server's."""

    workers: int
    served: int
    """Shippers that ever served before the kill."""
    replaced_s: float
    answered: int
    lost: int
    dead: int
    """Processes of the servers' that have ended and nobody has reaped."""
    stayed_s: float
    """How long the last shipper outlived the last worker."""
    left: tuple[str, ...]
    """Files that should not be there at the end."""

    @property
    def holds(self) -> bool:
        return self.is_sound and self.replaced_s <= REPLACED_S

    @property
    def is_sound(self) -> bool:
        """Whether all is so that does not hang on how busy the machine is."""
        one = self.served == 1 and self.stayed_s <= ORPHAN_S
        return one and not (self.lost or self.dead or self.left)


def run(count: int, rng: random.Random) -> Finding:
    """One server after the other, each ``count`` times."""
    found, faults = {}, []
    for setup in SETUPS:
        try:
            found[setup.name] = [elected(setup) for _ in range(count)]
        except AssertionError as error:
            faults.append(f"{setup.name}: NOT to be told, {error}")
        else:
            _keep(setup.name, found[setup.name])
    remarks = [
        f"{name}: one for {each.workers} workers, another after {each.replaced_s:.2f} s, gone after"
        f" {each.stayed_s:.1f} s{'' if each.holds else f' NOT {each}'}"
        for name, elections in found.items()
        for each in elections
    ]
    every = [each for elections in found.values() for each in elections]
    return Finding(
        "T12-servers",
        f"elections of {len(found)} servers, a kill in each",
        sum(each.answered for each in every),
        sum(each.lost for each in every),
        0,
        "\n  " + "\n  ".join(remarks + faults),
        not faults and all(each.holds for each in every),
    )


def _keep(name: str, elections: Sequence[Election]) -> None:
    note(
        name,
        "election",
        {
            "replaced_s": round(max(each.replaced_s for each in elections), 2),
            "answered": sum(each.answered for each in elections),
            "lost": sum(each.lost for each in elections),
        },
    )


def elected(setup: Setup) -> Election:
    """All begin at once; the shipper that comes of it is killed; the servers end."""
    with Collector() as collector, tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name:
        directory = Path(name)
        with _servers(setup, directory, collector.url) as servers:
            loads = [SteadyLoad(server.url, PER_SECOND) for server in servers]
            for load in loads:
                load.start()
            workers = await_workers(directory, servers)
            served = served_in(directory)
            time.sleep(SERVES_S)  # There is traffic, for no particular time.
            replaced_s = _killed(directory)
            await_workers(directory, servers)
            time.sleep(SERVES_S)
            for load in loads:
                load.stop()
            dead = sum(map(_dead_below, servers))
            with ThreadPoolExecutor(len(servers)) as pool:
                list(pool.map(lambda server: server.terminate(ENDS_S), servers))
            ended_at = time.monotonic()
            eventually(lambda: not shippers_of(directory), ORPHAN_S + COMES_S, "the shipper leaves")
            stayed_s = time.monotonic() - ended_at
        answered = set().union(*(load.answered for load in loads))
        return Election(
            workers=workers,
            served=served,
            replaced_s=replaced_s,
            answered=len(answered),
            lost=len(answered - collector.store.transaction_ids()),
            dead=dead,
            stayed_s=stayed_s,
            left=tuple(path.name for path in directory.iterdir() if not _may_stay(path, setup)),
        )


def served_by(setup: Setup, directory: Path, url: str) -> AbstractContextManager[Server]:
    """The campaigns' application on this server, whose workers' shipper lives in the directory."""
    environment = {
        "MOESIF_APPLICATION_ID": APPLICATION_ID,
        "MOESIF_BASE_URI": url,
        "MOESIF_SPOOL_DIR": str(directory),
        "MOESIF_SHIPPER_SOCKET": str(directory / "no-standalone-shipper.sock"),
        "MOESIF_EVENT_BATCH_TIMEOUT": "0.1",
    }
    return running(
        setup.server,
        "application:app",
        workers=setup.workers,
        cwd=HERE,
        env=environment,
        extra=setup.options_for(Way.SIGTERM),
        prefix=setup.prefix,
    )


@contextmanager
def _servers(setup: Setup, directory: Path, url: str) -> Iterator[Sequence[Server]]:
    """So many of them that there are ``WORKERS``, started at once."""

    def entered(_: int) -> Server:
        return stack.enter_context(served_by(setup, directory, url))

    number = WORKERS // setup.workers
    with ExitStack() as stack, ThreadPoolExecutor(number) as pool:
        try:
            yield list(pool.map(entered, range(number)))
        finally:
            kill_all(shippers_of(directory))


def await_workers(directory: Path, servers: Sequence[Server]) -> int:
    """Until one shipper has all of these servers' workers; returns how many. Each gets something to tell."""
    workers = sum(len(server.worker_pids()) for server in servers)

    def all_are_there() -> bool:
        for server in servers:
            with suppress(OSError):
                urllib.request.urlopen(f"{server.url}/", timeout=COMES_S).close()
        return len(status_of(directory).get("workers", ())) == workers  # type: ignore[arg-type]

    eventually(all_are_there, COMES_S, f"{workers} workers have a shipper")
    return workers


def _killed(directory: Path) -> float:
    """Kill the one that serves; returns after how long another one did."""
    (victim,) = shippers_of(directory)
    victim.kill()
    killed_at = time.monotonic()
    eventually(lambda: has_ended(victim), COMES_S, "it has ended")
    eventually(lambda: status_of(directory), COMES_S, "another one serves")
    return time.monotonic() - killed_at


def _may_stay(path: Path, setup: Setup) -> bool:
    """A container's end kills the shipper in it, which takes nothing away any more."""
    return may_stay(path) or (path.name == SOCKET_NAME and setup.prefix == CONTAINER)


def _dead_below(server: Server) -> int:
    return sum(map(has_ended, psutil.Process(server.pid).children(recursive=True)))

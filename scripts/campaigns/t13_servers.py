"""T13 on every server: connections cut, shippers killed, under traffic; its workers hold no more than before.

One descriptor, thread or file too many at each reconnect, or at each start of a shipper, would be seen.
"""

import random
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from lab.fenced import cut_connections
from lab.processes import eventually, has_ended, kill_all, shippers_of
from lab.servers import Server
from lab.setups import SETUPS, Setup

from campaigns.scene import APPLICATION_ID, SETTLES_S, Finding
from campaigns.servers_held import note
from campaigns.steady import SteadyLoad
from campaigns.t12_election import COMES_S, may_stay, status_of
from campaigns.t12_servers import await_workers, served_by
from campaigns.t13_soak import Held, at_rest
from moesifasgi.inspector import Collector
from moesifasgi.places import SOCKET_NAME
from moesifasgi.wire.application import Application

COUNT = 150
"""Reconnects of each worker."""
WARM = 0.2
"""The share after which is noted what the processes hold."""
A_KILL_PER = 15
"""For so many reconnects a shipper is killed."""
PER_SECOND = 200.0
MORE_BYTES = 4_000_000
"""Of each process: allocators keep what they had."""
STOPS_S = 20.0
LETS_GO_S = 20.0


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of one server."""

    reconnects: int
    kills: int
    answered: int
    lost: int
    workers: tuple[tuple[Held, ...], tuple[Held, ...]]
    """Early, and at the end."""
    shipper: tuple[Held, Held]
    """Early, and before the first kill."""
    left: tuple[str, ...]
    """Files that should not be there while all is well."""

    @property
    def more(self) -> tuple[int, int, int]:
        """Descriptors and threads that workers have more in all, and memory that one has."""
        before, after = self.workers
        descriptors = sum(each.descriptors for each in after) - sum(each.descriptors for each in before)
        threads = sum(each.threads for each in after) - sum(each.threads for each in before)
        memory = max(b.memory_bytes - a.memory_bytes for a, b in zip(before, after, strict=True))
        return descriptors, threads, memory

    @property
    def holds(self) -> bool:
        descriptors, threads, memory = self.more
        flat = descriptors <= 0 and threads <= 0 and memory <= MORE_BYTES
        before, after = self.shipper
        return flat and after.is_no_more_than(before) and not (self.lost or self.left)

    def __str__(self) -> str:
        descriptors, threads, memory = self.more
        last = self.workers[1]
        shipper = self.shipper[1].memory_bytes - self.shipper[0].memory_bytes
        return (
            f"{self.reconnects} reconnects of {len(last)} workers and {self.kills} kills: {descriptors:+}"
            f" descriptors, {threads:+} threads, {memory / 1e6:+.1f} MB (the shipper {shipper / 1e6:+.1f} MB)"
        )


def run(count: int, rng: random.Random) -> Finding:
    """One server after the other."""
    found, faults = {}, []
    for setup in SETUPS:
        try:
            found[setup.name] = soaked(setup, count)
        except AssertionError as error:
            faults.append(f"{setup.name}: NOT to be told, {error}")
        else:
            _keep(setup.name, found[setup.name])
    remarks = [f"{name}: {each}{'' if each.holds else f' NOT {each!r}'}" for name, each in found.items()]
    remarks += faults
    return Finding(
        "T13-servers",
        f"{count} reconnects of each worker of {len(found)} servers",
        sum(each.answered for each in found.values()),
        sum(each.lost for each in found.values()),
        0,
        "\n  " + "\n  ".join(remarks),
        not faults and all(each.holds for each in found.values()),
    )


def _keep(name: str, found: Soaked) -> None:
    descriptors, threads, memory = found.more
    note(
        name,
        "soak",
        {
            "reconnects": found.reconnects,
            "kills": found.kills,
            "descriptors": descriptors,
            "threads": threads,
            "megabytes": round(memory / 1e6, 1),
            "answered": found.answered,
            "lost": found.lost,
        },
    )


def soaked(setup: Setup, reconnects: int) -> Soaked:
    """Under traffic: cuts, then kills, with a look at what is held before, between and after."""
    with Collector() as collector, tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name:
        directory, kills, answered = Path(name), max(1, reconnects // A_KILL_PER), set[str]()
        application = Application(APPLICATION_ID, base_uri=collector.url)
        with served_by(setup, directory, collector.url) as server:
            try:
                answered |= _cut(server, directory, application, max(1, int(reconnects * WARM)))
                early = at_rest(_workers(server))
                early_shipper = at_rest(shippers_of(directory))
                answered |= _cut(server, directory, application, reconnects)
                late_shipper = at_rest(shippers_of(directory), early_shipper)
                answered |= _killed(server, directory, kills)
                late = at_rest(_workers(server), early, spare=0)
                with suppress(AssertionError):
                    eventually(lambda: answered <= collector.store.transaction_ids(), SETTLES_S, "all arrive")
                left = [path.name for path in directory.iterdir() if not may_stay(path)]
                server.terminate(STOPS_S)
            finally:
                kill_all(shippers_of(directory))
        return Soaked(
            reconnects=reconnects,
            kills=kills,
            answered=len(answered),
            lost=len(answered - collector.store.transaction_ids()),
            workers=(tuple(early), tuple(late)),
            shipper=(*early_shipper, *late_shipper),  # type: ignore[arg-type]
            left=tuple(each for each in left if each != SOCKET_NAME),
        )


def _cut(server: Server, directory: Path, application: Application, times: int) -> set[str]:
    """Cut the connections of all workers so often; returns the ids of what was answered meanwhile."""
    load = _loaded(server, directory)
    for _ in range(times):
        workers = status_of(directory)["workers"]
        cut_connections(directory / SOCKET_NAME, workers, application, until_back=True)  # type: ignore[arg-type]
    return _ended(load, server)


def _killed(server: Server, directory: Path, times: int) -> set[str]:
    """Kill the shipper so often."""
    load = _loaded(server, directory)
    for _ in range(times):
        (victim,) = shippers_of(directory)
        victim.kill()
        eventually(lambda victim=victim: has_ended(victim), COMES_S, "it has ended")
        await_workers(directory, [server])
    return _ended(load, server)


def _loaded(server: Server, directory: Path) -> SteadyLoad:
    load = SteadyLoad(server.url, PER_SECOND)
    load.start()
    await_workers(directory, [server])
    return load


def _ended(load: SteadyLoad, server: Server) -> set[str]:
    """Its answers' ids, when the server has let go of its connections too."""
    load.stop()

    def clients() -> list[object]:
        found = [each for worker in _workers(server) for each in worker.net_connections("tcp")]
        return [each for each in found if each.status != psutil.CONN_LISTEN]

    eventually(lambda: not clients(), LETS_GO_S, "no client is connected")
    return load.answered


def _workers(server: Server) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in server.worker_pids()]

"""D1: two applications on three servers, one daemon that is killed again and again under load.

Nothing may be lost, nothing may arrive under the other application's id, no id may be seen whole anywhere.
"""

import os
import random
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.processes import command_line, eventually
from lab.servers import Server, ServerName, running
from lab.shipper_process import ShipperProcess, configure, standalone

from campaigns.scene import HERE, Finding
from campaigns.steady import SteadyLoad
from moesifasgi.inspector import Collector
from moesifasgi.inspector.store import Store
from moesifasgi.places import SOCKET_NAME

COUNT = 100
PER_SECOND = 150.0
SETTLES_S = 60.0
IDS = {name: f"{name}-{'x' * 50}-{number:04}" for number, name in enumerate(("shop", "bank"))}
SERVERS: tuple[tuple[ServerName, int, str], ...] = (
    ("uvicorn", 2, "shop"),
    ("gunicorn", 1, "bank"),
    ("hypercorn", 1, "shop"),
)
"""Server, workers, application."""
NOWHERE = "http://127.0.0.1:9"
"""What the workers say; the daemon knows better."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    answered: int
    lost: int
    foreign: int
    """Events that arrived under another application's id."""
    duplicates: int
    refused_uploads: int
    """That a collector was asked to take for an application that is not its own."""
    difference: int
    """Between what the shipper took and the fates that it counted."""
    leaks: tuple[str, ...]
    """Places where an id can be seen whole."""
    open_to_others: tuple[str, ...]
    """Files and directories of the daemon that other users could reach."""

    @property
    def holds(self) -> bool:
        lossless = not (self.lost or self.foreign or self.refused_uploads or self.difference)
        return lossless and not self.leaks and not self.open_to_others and self.answered > 0


def run(count: int, rng: random.Random) -> Finding:
    """Kill the daemon ``count`` times."""
    found = tour(count, rng)
    remark = f"{found.foreign} under the other application's id"
    done = f"two applications, three servers, one daemon: SIGKILL, {count} times"
    return Finding("D1", done, found.answered, found.lost, found.duplicates, remark, found.holds)


def tour(count: int, rng: random.Random) -> Found:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="m-", dir="/tmp")))
        collectors = {name: stack.enter_context(_collector(name)) for name in IDS}
        _configure(directory, collectors)
        shipper = stack.enter_context(standalone(directory))
        servers = [stack.enter_context(_server(directory, *each)) for each in SERVERS]
        loads = [SteadyLoad(server.url, PER_SECOND, connections=4) for server in servers]
        for load in loads:
            stack.callback(load.stop)
            load.start()
        for _ in range(count):
            time.sleep(rng.uniform(0.2, 1.0))
            shipper.popen.kill()
            shipper.popen.wait()
            shipper = stack.enter_context(standalone(directory))
        time.sleep(0.5)
        for load in loads:
            load.stop()
        answered: dict[str, set[str]] = {name: set() for name in IDS}
        for load, (_, _, name) in zip(loads, SERVERS, strict=True):
            answered[name] |= load.answered
        return _found(shipper, servers, collectors, answered)


def _found(
    shipper: ShipperProcess,
    servers: list[Server],
    collectors: dict[str, Collector],
    answered: dict[str, set[str]],
) -> Found:
    deadline = time.monotonic() + SETTLES_S
    while _missing(collectors, answered) and time.monotonic() < deadline:
        time.sleep(0.05)
    eventually(lambda: not shipper.spooled(), 10.0, "all is settled")
    stores = {name: collector.store for name, collector in collectors.items()}
    return Found(
        answered=sum(map(len, answered.values())),
        lost=_missing(collectors, answered),
        foreign=sum(
            len(answered[name] & store.transaction_ids())
            for name in IDS
            for other, store in stores.items()
            if other != name
        ),
        duplicates=sum(store.counts().duplicates for store in stores.values()),
        refused_uploads=sum(map(_refused, stores.values())),
        difference=shipper.counters()["difference"],
        leaks=tuple(_leaks(shipper, servers)),
        open_to_others=tuple(_open_to_others(shipper.directory)),
    )


def _refused(store: Store) -> int:
    return sum(number for key, number in store.requests().items() if key.endswith(" 401"))


def _missing(collectors: dict[str, Collector], answered: dict[str, set[str]]) -> int:
    return sum(len(answered[name] - collectors[name].store.transaction_ids(IDS[name])) for name in IDS)


def _leaks(shipper: ShipperProcess, servers: list[Server]) -> Iterator[str]:
    started = [process for server in servers for process in server.descendants()]
    seen = {
        "log": shipper.log(),
        "status": str(shipper.status()),
        "argv of the daemon": " ".join(shipper.popen.args),
        "argv of a server": " ".join(part for process in started for part in command_line(process)),
        "names of files": " ".join(map(str, shipper.directory.rglob("*"))),
    }
    yield from (place for place, text in seen.items() if any(each in text for each in IDS.values()))


def _open_to_others(directory: Path) -> Iterator[str]:
    for path in (directory, *directory.rglob("*")):
        mode = path.stat().st_mode
        # The log is the test's own: where standard error goes is not the shipper's to say.
        if stat.S_IMODE(mode) & 0o077 and path.name != "log":
            yield f"{path.name}: {stat.S_IMODE(mode):04o}"


@contextmanager
def _collector(name: str) -> Iterator[Collector]:
    with Collector() as collector:
        collector.accept({IDS[name]})
        yield collector


def _configure(directory: Path, collectors: dict[str, Collector]) -> None:
    """One id in the configuration, the other in a file of its own."""
    id_file = directory / "bank.id"
    id_file.touch(0o600)
    id_file.write_text(IDS["bank"])
    shop, bank = (f'base_uri = "{collectors[name].url}"\n' for name in ("shop", "bank"))
    sections = (f'id = "{IDS["shop"]}"\n{shop}', f'id_file = "{id_file}"\n{bank}')
    text = 'unknown_applications = "refuse"\n' + "".join(f"[[application]]\n{each}" for each in sections)
    configure(directory, text)


def _server(directory: Path, server: ServerName, workers: int, name: str) -> AbstractContextManager[Server]:
    environment = {
        **os.environ,
        "MOESIF_APPLICATION_ID": IDS[name],
        "MOESIF_BASE_URI": NOWHERE,
        "MOESIF_TRANSPORT": "unix",
        "MOESIF_SHIPPER_SOCKET": str(directory / SOCKET_NAME),
    }
    return running(server, app="application:app", workers=workers, cwd=HERE, env=environment)

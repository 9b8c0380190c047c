"""One life of a server: it serves, something may ail it, its workers end, and what they captured is told."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil
from lab.processes import command_line, eventually, has_ended, is_housekeeper, is_shipper, shippers_of
from lab.servers import Server, connection_to, running
from lab.setups import Setup, Way, replace_workers
from lab.shipper_process import embedded

from campaigns.scene import APPLICATION_ID
from campaigns.steady import BODY, SteadyLoad
from moesifasgi.channel.leftovers import left_in
from moesifasgi.inspector import Behaviour, Collector

APPLICATION = Path(__file__).with_name("living.py")
PER_SECOND = 200.0
FIRST_PER_SECOND = 20.0
"""Until the first event arrives; a server may have few requests to live."""
CONNECTIONS = 4
SERVES_S = 0.5
"""So long there is load before the end."""
LARGE = b'"' + b"n" * 10_000 + b'"'
"""Of such bodies the kernel holds some ten for a shipper that does not read."""
ENDS_WITHIN_S = 40.0
ARRIVES_S = 15.0
LEAVES_S = 10.0
SHUTDOWN_TIMEOUT_S = 5.0


class Trouble(Enum):
    """What else is wrong while workers end."""

    NOTHING = "all well"
    SHIPPER_STOPPED = "shipper stopped"
    SHIPPER_STARTING = "first shipper not up"
    SHIPPER_ABSENT = "no shipper"
    """A standalone one is meant, and there is none."""
    COLLECTOR_DOWN = "collector down"


@dataclass(frozen=True, slots=True)
class Life:
    """How it ended."""

    answered: int
    lost: int
    duplicates: int
    invalid: int
    exit_s: float
    """From the last signal to the end of the main process."""
    processes_left: tuple[str, ...]
    """Of the server's, those that live on when it has ended, by their command lines."""
    files_left: int
    """What workers left behind and nobody has taken."""


def exit_without(setup: Setup, way: Way) -> float:
    """How long the same end takes where nothing of ours is in the server."""
    with _served(setup, way, "bare", {}) as (server, application):
        load = _loaded(server)
        return _ended(setup, way, server, application, load)


def live(setup: Setup, way: Way, trouble: Trouble = Trouble.NOTHING, transport: str = "auto") -> Life:
    """One life. ``transport``: how events travel, as in the setting."""
    with Collector() as collector, _directory() as directory:
        absent = trouble is Trouble.SHIPPER_ABSENT
        environment = _environment(directory, collector, "unix" if absent else transport)
        with _served(setup, way, "app", environment, transport) as (server, application):
            shippers = _troubled(trouble, server, collector, directory)
            load = _loaded(server, BODY if trouble in (Trouble.NOTHING, Trouble.COLLECTOR_DOWN) else LARGE)
            exit_s = _ended(setup, way, server, application, load)
            left = _left(server)
            for shipper in shippers:
                with suppress(psutil.NoSuchProcess):
                    shipper.resume()
            collector.behave(None)
            missing = _missing_at_last(load, collector, directory)
        counts = collector.store.counts()
        return Life(
            answered=len(load.answered),
            lost=len(missing),
            duplicates=counts.duplicates,
            invalid=counts.invalid,
            exit_s=exit_s,
            processes_left=tuple(left),
            files_left=len(left_in(directory)),
        )


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory:
        yield Path(directory)


def _environment(directory: Path, collector: Collector, transport: str) -> dict[str, str]:
    return {
        "MOESIF_APPLICATION_ID": APPLICATION_ID,
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_TRANSPORT": transport,
        "MOESIF_SPOOL_DIR": str(directory),
        "MOESIF_SHIPPER_SOCKET": str(directory / "no-standalone-shipper.sock"),
        "MOESIF_EVENT_BATCH_TIMEOUT": "0.1",
        "MOESIF_SHUTDOWN_TIMEOUT": str(SHUTDOWN_TIMEOUT_S),
    }


@contextmanager
def _served(
    setup: Setup, way: Way, name: str, environment: dict[str, str], transport: str = "auto"
) -> Iterator[tuple[Server, Path]]:
    """The server, and the file of its application, which is its own."""
    with tempfile.TemporaryDirectory(prefix="app-") as directory:
        application = Path(shutil.copy(APPLICATION, directory))
        with running(
            setup.server,
            f"living:{name}",
            workers=setup.workers,
            cwd=directory,
            env={"MOESIF_APPLICATION_ID": "unused", **environment},
            extra=setup.options_for(way, transport),
            prefix=setup.prefix,
        ) as server:
            yield server, application


def _troubled(
    trouble: Trouble, server: Server, collector: Collector, directory: Path
) -> list[psutil.Process]:
    """Bring the trouble about; returns the shippers that were stopped."""
    if trouble in (Trouble.SHIPPER_STARTING, Trouble.SHIPPER_ABSENT):
        return []
    first = SteadyLoad(server.url, FIRST_PER_SECOND, connections=1)
    first.start()
    collector.wait_for(lambda store: store.counts().distinct, ARRIVES_S)
    first.stop()
    eventually(
        lambda: first.answered <= collector.store.transaction_ids(), ARRIVES_S, "the first ones arrive"
    )
    if trouble is Trouble.COLLECTOR_DOWN:
        collector.behave(Behaviour(status=503))
    if trouble is not Trouble.SHIPPER_STOPPED:
        return []
    shippers = shippers_of(directory)
    for shipper in shippers:
        shipper.suspend()
    return shippers


def _loaded(server: Server, body: bytes = BODY) -> SteadyLoad:
    load = SteadyLoad(server.url, PER_SECOND, CONNECTIONS, body)
    load.start()
    eventually(lambda: load.answers >= PER_SECOND * SERVES_S / 2 or not load.is_alive(), 30.0, "it serves")
    return load


def _ended(setup: Setup, way: Way, server: Server, application: Path, load: SteadyLoad) -> float:
    """End its workers in this way, then all of it; returns how long the last end took."""
    main = psutil.Process(server.pid)
    if way in setup.goes_on and way is not Way.MAX_REQUESTS:
        main = replace_workers(server, way, application, lambda path: _ask(server, path))
    elif way is Way.MAX_REQUESTS and way in setup.ends:
        return _ended_by_itself(server, load)
    elif way is Way.MAX_REQUESTS:
        _until_replaced(server)
    if way is Way.GRACE_OVER:
        _ask(server, "/slow")
    if way in setup.kills:
        load.stop()
    began = time.monotonic()
    main.send_signal(way.number if way in setup.ends and way.value.startswith("SIG") else Way.SIGTERM.number)
    time.sleep(0.05)  # Load goes on into the end, for no particular time.
    load.stop()
    eventually(lambda: _is_over(server, main), ENDS_WITHIN_S, f"it ends on {way.value}:\n{server.log()}")
    return time.monotonic() - began


def _ended_by_itself(server: Server, load: SteadyLoad) -> float:
    eventually(lambda: server.popen.poll() is not None, ENDS_WITHIN_S, f"it ends:\n{server.log()}")
    load.stop()
    return 0.0


def _until_replaced(server: Server) -> None:
    before = set(server.worker_pids())
    eventually(lambda: before - set(server.worker_pids()), ENDS_WITHIN_S, f"a worker goes:\n{server.log()}")
    eventually(
        lambda: len(server.worker_pids()) >= len(before), ENDS_WITHIN_S, f"another comes:\n{server.log()}"
    )


def _is_over(server: Server, main: psutil.Process) -> bool:
    return server.popen.poll() is not None and has_ended(main)


def _ask(server: Server, path: str) -> None:
    """A request whose answer nobody waits for; the connection stays open as long as the process lives."""
    connection = connection_to(server)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    timer = threading.Timer(ENDS_WITHIN_S, connection.close)
    timer.daemon = True
    timer.start()


def _missing_at_last(load: SteadyLoad, collector: Collector, directory: Path) -> set[str]:
    """What does not arrive, not even with the help of one more shipper."""

    def all_is_there() -> bool:
        return load.answered <= collector.store.transaction_ids() and not left_in(directory)

    with suppress(AssertionError):
        eventually(lambda: all_is_there() or not shippers_of(directory), ARRIVES_S, "all arrive")
    if not all_is_there() and not shippers_of(directory):
        with embedded(directory, spool_max_bytes=1 << 30), suppress(AssertionError):
            eventually(all_is_there, ARRIVES_S, "all arrive")
    return load.answered - collector.store.transaction_ids()


def _left(server: Server) -> list[str]:
    """What the server started and left running, shippers and Python's own housekeepers aside."""

    def living() -> list[psutil.Process]:
        return [each for each in server.descendants() if not is_shipper(each) and not is_housekeeper(each)]

    with suppress(AssertionError):
        eventually(lambda: not living(), LEAVES_S, "all have left")
    # One that is just ending has none any more.
    return [line for each in living() if (line := " ".join(command_line(each)))]

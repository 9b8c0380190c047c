"""What every campaign needs: a server under load, its shipper, a collector; and the count at the end."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from lab.processes import eventually
from lab.servers import Server, ServerName, running

from campaigns.steady import SteadyLoad
from moesifasgi.inspector import Collector
from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.tool import NoShipper, ask_status

HERE = Path(__file__).parent
APPLICATION_ID = "campaign-application-id-as-long-as-a-real-one-0123456789abcdef"
SETTLES_S = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One campaign's row: what was done, what came of it, whether that is as it must be."""

    name: str
    done: str
    events: int
    lost: int
    twice_on_the_wire: int
    remark: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """A server under load."""

    server: Server
    collector: Collector
    load: SteadyLoad
    directory: Path

    def shipper(self, other_than: int = 0) -> psutil.Process:
        """The shipper that serves now, waited for; ``other_than`` this dead one."""

        def serving() -> int:
            try:
                pid = int(ask_status(self.directory / SOCKET_NAME)["pid"])
            except NoShipper:
                return 0
            return pid if pid != other_than else 0

        return psutil.Process(eventually(serving, 10.0, "a shipper serves"))

    def all_are_connected(self) -> bool:
        """Whether the shipper serves every worker: one that is not there yet holds all of its traffic."""
        try:
            served = {worker["pid"] for worker in ask_status(self.directory / SOCKET_NAME)["workers"]}
        except NoShipper:
            return False
        return set(self.server.worker_pids()) <= served

    def delivered(self) -> set[str]:
        return self.collector.store.transaction_ids()

    def missing(self) -> set[str]:
        """Ids that the client has an answer with, and the collector does not have."""
        return self.load.answered - self.delivered()

    def settled(self) -> bool:
        """Load ended and everything delivered, or nothing new for a while: what is missing then is lost."""
        self.load.stop()
        deadline = time.monotonic() + SETTLES_S
        while self.missing() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.missing()

    def finding(self, name: str, done: str, remark: str, allowed_loss: int = 0) -> Finding:
        """End the load, wait, count."""
        self.settled()
        lost, counts = len(self.missing()), self.collector.store.counts()
        holds = lost <= allowed_loss and counts.invalid == 0
        return Finding(name, done, len(self.load.answered), lost, counts.duplicates, remark, holds)


@contextmanager
def scene(
    workers: int,
    per_second: float,
    server: ServerName = "uvicorn",
    app: str = "application:app",
    extra: Sequence[str] = (),
) -> Iterator[Scene]:
    """The campaign's application on a server, under a steady load of so many requests a second.

    ``extra``: options of the server.
    """
    with Collector() as collector, tempfile.TemporaryDirectory(prefix="moesif-chaos-") as directory:
        environment = {
            **os.environ,
            "MOESIF_APPLICATION_ID": APPLICATION_ID,
            "MOESIF_BASE_URI": collector.url,
            "MOESIF_SPOOL_DIR": directory,
            "MOESIF_SHIPPER_SOCKET": f"{directory}/no-standalone-shipper.sock",
        }
        with running(server, app, workers, cwd=HERE, env=environment, extra=extra) as started:
            load = SteadyLoad(started.url, per_second)
            made = Scene(started, collector, load, Path(directory))
            load.start()
            try:
                yield made
            finally:
                load.stop()

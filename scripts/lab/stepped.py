"""The real worker's and shipper's ends over real sockets, without their threads: a test takes each step.

So a history of faults is the same each time that it is played: nothing happens between two steps. What is
left out is only what the threads do beside their steps: to wait.
"""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack

from lab.tearable import TearableSocket
from moesifasgi.channel.carrier import Carrier
from moesifasgi.channel.leftovers import LeftBounds
from moesifasgi.shipper.adoption import adopt
from moesifasgi.shipper.clock import Clock
from moesifasgi.shipper.delivery import Delivery
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.receiver.admission import Admission
from moesifasgi.shipper.receiver.unix import Receiver
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Spool
from moesifasgi.shipper.upload_threads import Job, UploadThreads
from moesifasgi.shipper.uploader import Uploads
from moesifasgi.unix_socket import listening
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import PREFIX
from moesifasgi.wire.messages import Event

ROUNDS = 64
"""Most rounds of a receiver until all that was sent to it is read."""


class SteppedClock(Clock):
    """Time that passes when it is told to. The wall clock can jump on its own."""

    def __init__(self, jumped_s: float = 0.0) -> None:
        self.passed_s = 0.0
        self.jumped_s = jumped_s
        super().__init__(lambda: 1_000.0 + self.passed_s, self._wall)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.passed_s += seconds

    def _wall(self) -> float:
        return 1_700_000_000.0 + self.passed_s + self.jumped_s


class SteppedCarrier(Carrier):
    """A worker's end. ``dialer`` makes a TearableSocket."""

    def start(self) -> None:
        """There is no thread."""

    @property
    def connection(self) -> TearableSocket | None:
        """Its present connection."""
        return self._connected if self._out.link is not None else None  # type: ignore[return-value]

    def connect_anew(self) -> None:
        """One more connection of the session; the older one, if any, is left as it is."""
        if (link := self._connect()) is None:
            return
        self._heard(link.decoded())
        self.flow()

    def flow(self) -> None:
        """What the thread does in one turn: write what waits, read what has come."""
        if (link := self._out.link) is None:
            return
        try:
            self._pump()
            if (stream := self._out.stream) is not None:
                self._look_after_queue(stream)
            self._heard(link.read())
        except OSError:
            link.broken = True
        if link.broken:
            self._disconnect(link)

    @property
    def next_sequence(self) -> int:
        """The sequence that the next accepted event gets."""
        return self.session.ring.next

    @property
    def on_queue(self) -> bool:
        """Whether its events go through the queue now."""
        return self._out.stream is not None

    def leave_queue(self) -> None:
        """As where nothing that it put there was acknowledged in time."""
        self._out.leave_queue()
        self.lose()

    def report(self) -> None:
        """STATS with the next turn."""
        self._report()

    def lose(self) -> None:
        """The connection is gone, with whatever was on its way to the worker."""
        if self._out.link is not None:
            self._disconnect(self._out.link)

    def leave(self) -> None:
        """The end of ``close``: goodbye if all is acknowledged, else the rest stays behind as a file."""
        self._closing = True
        self.lose()
        self._leave_behind()

    def kept(self) -> list[Event]:
        """What the ring holds."""
        found = [decode(framed[PREFIX.size :]) for framed in self.session.ring.unacknowledged()]
        return [event for event in found if isinstance(event, Event)]

    def difference(self) -> int:
        """What the worker's identity leaves unexplained."""
        return self.counters.difference(len(self.session.ring), 0)


class SteppedDialer:
    """Connects to whichever shipper listens now. ``directory``: where workers leave behind what is left."""

    starting = False
    left_bounds = LeftBounds()

    def __init__(self, directory: Path) -> None:
        self.directory: Path | None = directory
        self.shipper: SteppedShipper

    def __call__(self) -> socket.socket:
        return TearableSocket(self.shipper.path, self.shipper, self.shipper.read)

    def heritage(self) -> list[Path]:
        """The shipper looks for itself."""
        return []

    def again(self) -> socket.socket:
        """One more connection."""
        return self()

    def supersede(self) -> None:
        """There is one version here."""

    def leave_off(self) -> None:
        """It starts none."""

    def abandon(self) -> None:
        """Nothing is held between dials."""


class _AtOnce(UploadThreads):
    """Uploads on the thread that asks for them."""

    def run(self, job: Job, in_flight: int) -> None:
        job()


class SteppedDelivery(Delivery):
    """The delivery loop, one turn at a time. ``uploader`` is to answer at once."""

    def __init__(
        self, spool: Spool, registry: Registry, uploader: Uploads, *, clock: Clock, pace: Pace
    ) -> None:
        super().__init__(
            spool, registry, uploader, clock=clock, random01=lambda: 0.5, pace=pace, threads=_AtOnce()
        )

    @property
    def refuses_all(self) -> bool:
        """The collector refused so many single items in a row that none is tried in its turn any more."""
        return any(state.refusing for state in self._lanes)

    def turn(self) -> None:
        """Take what was said, then do what is due."""
        self._receive(0.0)
        self._turn(self._clock.monotonic())


class SteppedShipper:
    """Receiver, intake, spool and delivery, as the daemon puts them together."""

    def __init__(self, path: Path, spool: Spool, uploader: Uploads, clock: Clock, pace: Pace) -> None:
        self.path = path
        self.spool = spool
        registry = Registry(spool)
        self.delivery = SteppedDelivery(spool, registry, uploader, clock=clock, pace=pace)
        self._intake = Intake(spool, registry, clock.monotonic)
        admission = Admission(frozenset({os.geteuid()}))
        self.receiver = Receiver(listening(path, 0o600), self._intake, self, admission)

    def read(self) -> None:
        """Accept and read until nothing more is there."""
        silent = 0
        for _ in range(ROUNDS):
            silent = 0 if self.receiver.step(0.0) else silent + 1
            if silent == 3:
                return

    def adopt(self, directory: Path) -> None:
        """Take over what workers left behind."""
        alive = frozenset(peer.session.id for peer in self.receiver.workers if peer.session is not None)
        adopt(directory, self._intake, alive, self.receiver.commit)

    def kill(self) -> None:
        """End as by SIGKILL: nothing more is read, stored or said. The spool is its owner's affair."""
        self.receiver.close()

    def appended(self) -> None:
        self.delivery.notify()

    def drain(
        self, *, give_up: bool, application_ids: frozenset[str] | None, on_done: Callable[[bool, str], None]
    ) -> None:
        self.delivery.drain(give_up=give_up, application_ids=application_ids, on_done=on_done)

    def supersede(self) -> None:
        """There is one version here."""

    def status(self) -> dict[str, Any]:
        return self.delivery.status()


def applications(count: int, **settings: Any) -> Sequence[Application]:
    """Applications with ids of a real one's length."""
    return [Application(f"application-{number:044}", **settings) for number in range(count)]


def identified(transaction_id: str, **fields: Any) -> bytes:
    """An event's object with its id, as a worker packs it."""
    packed: bytes = msgpack.packb({"transaction_id": transaction_id, **fields})
    return packed


def id_of(payload: bytes) -> str:
    """The id that ``identified`` gave it."""
    return str(msgpack.unpackb(payload)["transaction_id"])

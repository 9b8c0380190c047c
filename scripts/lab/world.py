"""Workers, shippers, their spools and a collector in one process, and what can befall them."""

import shutil
from collections.abc import Iterable
from random import Random

from lab.books import Books
from lab.homes import Home, memory_directory
from lab.limits import files_no_larger_than
from lab.queues import SteppedQueue
from lab.scripted_uploads import ScriptedUploads
from lab.stepped import (
    SteppedCarrier,
    SteppedClock,
    SteppedDialer,
    SteppedShipper,
    applications,
    id_of,
    identified,
)
from lab.tearable import TearableSocket
from moesifasgi.channel.policies import Policies
from moesifasgi.shipper.delivery import MAX_AGE_S
from moesifasgi.shipper.gate import Pace
from moesifasgi.wire.messages import Event, Kind
from moesifasgi.wire.ring import Offer

RING_EVENTS, RING_BYTES = 12, 20_000
MAX_WORKERS = 6
MAX_REFUSED_RUN = 4
ENDS_WITHIN_TURNS = 400
"""So many turns of everyone are enough to deliver what the spools can hold, one by one if need be."""
TURN_S = 70.0
"""Longer than any wait between two attempts of this world's deliveries."""


class World:
    """One history. ``durable``: spools are files, else in memory. Workers are meant by any number.

    ``queue``: each shipper has one, which the workers that begin under it use.
    """

    def __init__(self, *, durable: bool, batch_size: int | None, queue: bool) -> None:
        self.root = memory_directory()
        self.left = self.root / "left"
        self.left.mkdir()
        self.books, self.clock, self.uploads = Books(), SteppedClock(), ScriptedUploads()
        self.homes: dict[str, Home] = {}
        self.gone: list[SteppedCarrier] = []
        self._durable = durable
        self._queue = SteppedQueue() if queue else None
        self._made = 0
        self._older_connections: list[TearableSocket] = []
        self._applications = applications(2, batch_size=batch_size)
        self._dialer = SteppedDialer(self.left)
        self.start_shipper("a")
        self.workers = [self._worker() for _ in range(3)]

    def close(self) -> None:
        self.shipper.kill()
        if self._queue is not None:
            self._queue.close()
        for worker in [*self.workers, *self.gone]:
            worker.abandon()
        for connection in self._older_connections:
            connection.close()
        for home in self.homes.values():
            home.close()
        shutil.rmtree(self.root)

    def check(self) -> None:
        """What must be so after each step."""
        self.books.check_now(self.home, [worker.difference() for worker in [*self.workers, *self.gone]])

    # Shippers.

    @property
    def home(self) -> Home:
        """The serving shipper's."""
        return self.homes[self.name]

    def start_shipper(self, name: str) -> None:
        """A shipper over the spool of this name, made if there is none."""
        self.name = name
        if name not in self.homes:
            self.homes[name] = Home(self.root if self._durable else None, self.clock.wall)
        path, pace = self.root / "s.sock", Pace(max_refused_run=MAX_REFUSED_RUN)
        self.shipper = SteppedShipper(path, self.home.spool, self.uploads, self.clock, pace)
        self._dialer.shipper = self.shipper
        if self._queue is not None:
            self._queue.attach_to(self.shipper.receiver)

    def kill_shipper(self) -> None:
        """As SIGKILL does."""
        self.books.kill_shipper(self.home)
        self.shipper.kill()
        self.home.outlive_its_shipper()

    def restart_shipper(self, name: str | None = None) -> None:
        """Kill it; the next one has the same spool, or that of another name."""
        self.kill_shipper()
        self.books.ordered &= name is None
        self.start_shipper(name or self.name)

    def wipe(self) -> None:
        """Kill the shipper, and delete its spool before the next one starts."""
        self.kill_shipper()
        home = self.homes.pop(self.name)
        self.books.wipe(home)
        home.close()
        self.start_shipper(self.name)

    def store_on_a_full_disk(self, number: int) -> None:
        """What a worker sends just then is taken, and cannot be stored."""
        self.capture(number, Kind.EVENT, 0, 0, poison=False)
        self.connect(number)
        self.worker(number).flow()
        with files_no_larger_than(0):
            self.shipper.read()
            self.shipper.receiver.commit()

    def deliver_on_a_full_disk(self) -> None:
        """What the collector takes just then has its fate, and it cannot be stored."""
        self.uploads.answer = 201
        for _ in range(2):
            self.deliver()
            self.clock.advance(2.0)
        self.deliver()
        with files_no_larger_than(0):
            self.deliver()

    def deliver(self) -> None:
        """One turn of delivery."""
        self.shipper.delivery.turn()

    def damage(self, place: int) -> None:
        """One row of the spool's file is not what it was."""
        if self.home.damage(place):
            self.books.reasons.add("damaged")

    def grow_old(self) -> None:
        """A month passes."""
        self.clock.advance(MAX_AGE_S + 1)
        self.books.reasons.add("expired")

    # Workers.

    def worker(self, number: int) -> SteppedCarrier:
        return self.workers[number % len(self.workers)]

    def capture(self, number: int, kind: Kind, key: int, size: int, *, poison: bool) -> None:
        """One event, offered to the worker's ring."""
        worker = self.worker(number)
        worker.counters.add("captured")
        self._made += 1
        made, sequence = f"{self._made:036}", worker.next_sequence
        payload = identified(made, poison=poison, filling=Random(self._made).randbytes(size).hex())
        fate = worker.offer(kind, key, payload)
        if fate is not Offer.ACCEPTED:
            worker.counters.drop(fate.value)
            return
        self.books.captured.add(made)
        if kind is Kind.USER:
            self.books.updates[made] = (worker.session.id, key, sequence)

    def capture_what_is_not_wanted(self, number: int) -> None:
        self.worker(number).counters.add("captured", 2)
        self.worker(number).counters.add("skipped")
        self.worker(number).counters.add("sampled_out")

    def connect(self, number: int) -> None:
        if self.worker(number).connection is None:
            self.worker(number).connect_anew()

    def connect_again(self, number: int) -> None:
        """A second connection of a session, while the first one is still there."""
        if (connection := self.worker(number).connection) is not None:
            self._older_connections.append(connection)
        self.worker(number).connect_anew()

    def tear(self, number: int, after_bytes: int) -> None:
        """Its connection ends after so many bytes more."""
        if (connection := self.worker(number).connection) is not None:
            connection.tear_after(after_bytes)

    def break_in_a_frame(self, number: int) -> None:
        """Its connection ends when a frame has gone out in part, and the next one begins."""
        for _ in range(4):
            self.capture(number, Kind.EVENT, 0, 1_500, poison=False)
        self.connect(number)
        self.worker(number).flow()
        self.shipper.read()
        self.worker(number).lose()
        self.connect(number)

    def kill_worker(self, number: int) -> None:
        """What had not left its process is lost with it."""
        worker = self.worker(number)
        connection = worker.connection
        if connection is None or connection.far_end is not self.shipper:
            sent = []
        else:
            sent = connection.events_sent()
            if self._queue is not None and worker.on_queue:
                sent += self._queue.events_put(worker.session.id)
        self.books.kill_worker(_ids(worker.kept()), _ids(sent))
        worker.abandon()
        self.workers[number % len(self.workers)] = self._worker()

    def die_with_last_words_unread(self, number: int) -> None:
        """An acknowledgement meets a dead worker, which had sent more before it died."""
        for parts in (self.shipper.read, self.shipper.receiver.commit), ():
            self.capture(number, Kind.EVENT, 0, 0, poison=False)
            self.connect(number)
            self.worker(number).flow()
            for part in parts:
                part()
        self.kill_worker(number)
        self.shipper.receiver.acknowledge()

    def leave_worker(self, number: int) -> None:
        """It leaves in good order, with or without a shipper to say goodbye to."""
        self.worker(number).leave()
        self.gone.append(self.worker(number))
        self.workers[number % len(self.workers)] = self._worker()

    def fork_worker(self) -> None:
        """The child has the parent's applications and nothing else of it."""
        if len(self.workers) == MAX_WORKERS:
            self.kill_worker(0)
            self.workers.pop(0)
        self.workers.append(self._worker())

    # The end.

    def heal(self) -> None:
        """A full disk once more, then all is well: nothing may be left anywhere, or be missing."""
        self.store_on_a_full_disk(0)
        self.deliver_on_a_full_disk()
        self.uploads.answer, self.uploads.poison = 201, False
        self.shipper.read()
        self.shipper.receiver.commit()
        self._finish()
        for name in sorted({*self.homes} - {self.name}):
            self.kill_shipper()
            self.start_shipper(name)
            self._finish()
        self.check()
        self.books.check_end(self.homes.values(), self.uploads)

    def _finish(self) -> None:
        turns = 0
        while not self._all_is_done():
            self._turn_of_all()
            turns += 1
            assert turns < ENDS_WITHIN_TURNS, "it does not end"

    def _all_is_done(self) -> bool:
        held = any(worker.kept() for worker in self.workers) or any(self.left.iterdir())
        return not held and not self.home.spool.usage().events

    def _turn_of_all(self) -> None:
        self.clock.advance(TURN_S)
        for number, worker in enumerate(self.workers):
            self.connect(number)
            worker.flow()
        self.shipper.read()
        self.shipper.receiver.commit()
        self.shipper.receiver.acknowledge()
        for worker in self.workers:
            worker.flow()
        self.shipper.adopt(self.left)
        self.home.look()
        self.deliver()

    def _worker(self) -> SteppedCarrier:
        return SteppedCarrier(
            self._dialer, self._applications, Policies(), RING_EVENTS, RING_BYTES, self._queue
        )


def _ids(events: Iterable[Event]) -> set[str]:
    return {id_of(event.payload) for event in events}

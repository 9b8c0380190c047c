"""The delivery loop: spool → batches → collector, and the fates back into the spool.

One coordinator thread owns all state: it reads ahead, forms batches, decides who may upload when, and
settles. Upload threads only upload. All that others want of the coordinator comes through one mailbox, which
is also what it sleeps on. Each turn settles all chunks that were decided meanwhile in one transaction.

A row leaves the spool only by ``settle``, after the collector has answered; so whatever ends this process
early costs repeated uploads, which the collector recognises, and never an event.
"""

import logging
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from moesifasgi.quiet import Quiet
from moesifasgi.shipper.batch import Batch
from moesifasgi.shipper.clock import Clock
from moesifasgi.shipper.delivery_status import status_of
from moesifasgi.shipper.drain import Drain, OnDone, unknown_reason
from moesifasgi.shipper.fates import Finished, Notice, apply_outcome
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.shipper.lane import READ_AHEAD_BYTES, LaneState
from moesifasgi.shipper.liveness import Pulse
from moesifasgi.shipper.outcome import RetryLater
from moesifasgi.shipper.payload import encode_item
from moesifasgi.shipper.schedule import Situation, next_turn_at
from moesifasgi.shipper.spool import Item, Lane, Spool, SpoolError
from moesifasgi.shipper.upload_threads import UploadThreads
from moesifasgi.shipper.uploader import Uploader, Uploads
from moesifasgi.wire.application import Application

MAX_AGE_S = 30 * 86_400.0
"""The collector refuses older events; what is spooled longer is dropped as ``expired``."""
READ_AHEAD_BYTES_IN_ALL = 64 * 1024 * 1024
"""Shared by the lanes that have something; each may hold one chunk beyond it."""
MAX_UPLOADS = 128
"""Under way at once; when half of them are, each lane gets one at a time."""
MAX_TURN_S = 5.0
"""The coordinator takes a turn at least so often, to show that it lives."""
SPOOL_REST_S = 1.0
"""After the spool failed, and after a fault of our own, nothing is tried for so long."""
LASTING_INTERVAL_S = 3600.0
LEAVING = "the shipper is leaving"
logger = logging.getLogger("moesifasgi.shipper")


@dataclass(frozen=True, slots=True)
class Reconsider:
    """Other settings hold: what was parked may be wanted now. See ``Delivery.reconsider``."""

    paces: Mapping[str, Pace]


_Message = Drain | tuple[LaneState, Finished] | Reconsider | None
"""None: something is new, look at ``_news`` and ``_close_by``."""


class Applications(Protocol):
    """Where the settings of applications are found, by any thread."""

    def get(self, application_id: str) -> Application | None:
        """None while nobody has said what they are."""


class Delivery:
    """Delivers what is in the spool. ``notify``, ``drain``, ``status``, ``close``: from any thread."""

    def __init__(
        self,
        spool: Spool,
        applications: Applications,
        uploader: Uploads | None = None,
        *,
        clock: Clock | None = None,
        random01: Callable[[], float] = random.random,
        pace: Pace | None = None,
    ) -> None:
        self._spool = spool
        self._applications = applications
        self._uploader = uploader or Uploader()
        self._clock = clock or Clock()
        self._random01 = random01
        self._pace = pace or Pace()
        self._paces: Mapping[str, Pace] = {}
        self._quiet = Quiet(logger)
        self._hourly = Quiet(logger, LASTING_INTERVAL_S)
        self._threads = UploadThreads()
        self._mailbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._news = threading.Event()
        self._undiscovered = True
        self._unknown: frozenset[Lane] = frozenset()
        self._lanes: dict[Lane, LaneState] = {}
        self._drains: list[Drain] = []
        self._turns = 0
        self._under_way: tuple[float, ...] = ()
        """When each upload in flight began; replaced, never changed, since other threads look at it."""
        self._attempts = 0
        """To upload, or to work on the spool in vain, that have come to an end."""
        self._due_at = float("inf")
        """When the coordinator means to do something next; past while it is at it."""
        self._dead_letters: Counter[str] = Counter()
        self._spool_rest_until = float("-inf")
        self._spool_fault = self._fault = ""
        self._close_by: float | None = None
        self._heartbeat = self._clock.monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin with whatever the spool holds."""
        self._thread = threading.Thread(target=self._run, name="moesif-delivery", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """New chunks were appended. Cheap."""
        if not self._news.is_set():
            self._news.set()
            self._mailbox.put(None)

    def drain(
        self,
        *,
        give_up: bool,
        on_done: OnDone,
        timeout_s: float = float("inf"),
        upto: int | None = None,
        application_ids: frozenset[str] | None = None,
    ) -> Callable[[], None]:
        """Deliver now all that was appended before this call, whatever the batch timeouts say.

        ``on_done(True, "")`` when it is delivered (or dead-lettered). ``on_done(False, reason)`` after
        ``timeout_s``; with ``give_up`` also at once if a lane that holds some of it is known to fail.
        What is returned withdraws the request; it may be called at any time.
        """
        drain = Drain(upto, give_up, self._clock.monotonic() + timeout_s, on_done, application_ids)
        if self._close_by is not None:
            on_done(False, LEAVING)
        else:
            self._mailbox.put(drain)
        return drain.withdraw

    def reconsider(self, paces: Mapping[str, Pace]) -> None:
        """The settings of applications have changed: parked lanes ask at once whether they may again.

        ``paces`` are those of single applications, by their ids.
        """
        self._mailbox.put(Reconsider(paces))

    def hurry(self) -> None:
        """Do not wait for uploads under way. For signal handlers too; ``close`` follows."""
        self._close_by = self._clock.monotonic()
        self._mailbox.put(None)

    @property
    def idle(self) -> bool:
        """Nothing is left to do: all that is in the spool was settled, nothing is under way."""
        # In this order: the coordinator sets what is asked later before it clears what is asked earlier.
        if self._news.is_set() or self._undiscovered or self._unknown:
            return False
        return all(state.idle for state in list(self._lanes.values()))

    @property
    def heartbeat(self) -> float:
        """When the coordinator last finished a turn without a fault, in monotonic seconds."""
        return self._heartbeat

    @property
    def pulse(self) -> Pulse:
        """One look, from any thread, whether this loop goes on."""
        now = self._clock.monotonic()
        # A loop that lives takes up news within a turn.
        forgotten = self._news.is_set() and now - self._heartbeat > 2 * MAX_TURN_S
        is_due = bool(self._under_way or self._fault) or forgotten or now >= self._due_at
        return Pulse(self._attempts, is_due, min(self._under_way, default=None))

    def status(self) -> dict[str, Any]:
        """``applications`` by their ids, ``reasons`` why events do not arrive, and totals of uploads."""
        lanes, now = list(self._lanes.values()), self._clock.monotonic()
        found = status_of(lanes, self._uploader.traffic, now, list(self._reasons()))
        return {**found, "dead_letters": dict(self._dead_letters)}

    def _reasons(self) -> Iterator[Reason]:
        if self._spool_fault:
            yield Reason(f"the spool fails: {self._spool_fault}", Advice.DISK)
        if self._fault:
            yield Reason(f"fault in the delivery loop: {self._fault}", Advice.BEGINS_AFRESH)
        for what in sorted({unknown_reason(lane) for lane in self._unknown}):
            yield Reason(what, Advice.SETTINGS)

    def close(self, deadline_s: float) -> None:
        """Start no more uploads, wait for those under way, settle; the rest stays in the spool.

        Returns after ``deadline_s`` at the latest (and a moment for the last settlement), with the uploader
        closed. May be called twice.
        """
        if self._close_by is None:
            self._close_by = self._clock.monotonic() + deadline_s
            self._mailbox.put(None)
        if self._thread is not None:
            self._thread.join(deadline_s + SPOOL_REST_S)
        self._uploader.close()

    def _run(self) -> None:
        while not self._may_leave():
            try:
                self._receive(self._wait_s())
                self._due_at = now = self._clock.monotonic()
                self._turn(now)
            except Exception as error:  # the one boundary: a fault here must not end delivery
                self._fault = type(error).__name__
                self._quiet.say("fault", "fault in the delivery loop", level=logging.ERROR)
                logger.debug("fault in the delivery loop", exc_info=True)
                time.sleep(SPOOL_REST_S)
            else:
                self._fault = ""
                self._heartbeat = self._clock.monotonic()
        self._receive(0.0)
        self._work_on_spool(self._clock.monotonic())
        for drain in self._drains:
            drain.on_done(False, LEAVING)
        self._threads.close()

    def _may_leave(self) -> bool:
        if self._close_by is None:
            return False
        return not self._under_way or self._clock.monotonic() >= self._close_by

    def _wait_s(self) -> float:
        now = self._clock.monotonic()
        situation = Situation(
            now,
            self._undiscovered,
            self._draining,
            self._may_upload,
            self._close_by,
            self._spool_rest_until,
        )
        self._due_at = next_turn_at(situation, self._lanes.values(), self._drains)
        return min(MAX_TURN_S, max(0.0, self._due_at - now))

    def _receive(self, wait_s: float) -> None:
        """Wait for messages, and take all there are."""
        try:
            self._take(self._mailbox.get(timeout=wait_s))
            while True:
                self._take(self._mailbox.get_nowait())
        except queue.Empty:
            return

    def _take(self, message: _Message) -> None:
        match message:
            case Reconsider():
                self._reconsider(message)
            case Drain():
                self._drains.append(message)
                self._undiscovered = True
            case (LaneState() as state, Finished() as finished):
                state.in_flight -= 1
                self._ended(finished.started_at)
                now = self._clock.monotonic()
                self._say(state, apply_outcome(state, finished, now, self._random01()))

    def _reconsider(self, new: Reconsider) -> None:
        self._paces = new.paces
        self._undiscovered = True
        for state in self._lanes.values():
            state.gate.reconsider(self._pace_of(state.lane), self._clock.monotonic())

    def _pace_of(self, lane: Lane) -> Pace:
        return self._paces.get(lane.application_id, self._pace)

    def _ended(self, began_at: float) -> None:
        self._attempts += 1
        rest = list(self._under_way)
        rest.remove(began_at)
        self._under_way = tuple(rest)

    def _turn(self, now: float) -> None:
        if self._close_by is None:
            self._work_on_spool(now)
            for state in self._in_turn():
                self._dispatch(state, now)
        self._answer_drains(now)

    def _in_turn(self) -> list[LaneState]:
        """All lanes, beginning with another one each time, so that each is served where not all can be."""
        lanes = list(self._lanes.values())
        self._turns += 1
        first = self._turns % max(1, len(lanes))
        return lanes[first:] + lanes[:first]

    def _work_on_spool(self, now: float) -> None:
        if now < self._spool_rest_until:
            return
        try:
            self._settle()
            if self._close_by is None:
                self._discover()
                self._read_ahead(now)
            self._spool_fault = ""
        except SpoolError as error:
            self._spool_rest_until = now + SPOOL_REST_S
            self._attempts += 1
            self._spool_fault = str(error)
            self._quiet.say("spool", "the spool failed, will try again: %s", error)

    def _settle(self) -> None:
        decided = [state for state in self._lanes.values() if state.has_decided]
        if decided:
            settlements = [each for state in decided for each in state.settlements()]
            self._spool.settle(settlements)
            self._dead_letters.update(letter.code for each in settlements for letter in each.dead_letters)
            for state in decided:
                state.settled()

    def _discover(self) -> None:
        """Find lanes that are new, and read all of them again."""
        told = any(self._applications.get(lane.application_id) for lane in self._unknown)
        self._undiscovered = self._undiscovered or told or self._news.is_set()
        if not self._undiscovered:
            return
        self._news.clear()
        unknown = set()
        for lane in self._spool.lanes():
            application = self._applications.get(lane.application_id)
            if application is None:
                unknown.add(lane)
            elif lane not in self._lanes:
                self._lanes[lane] = LaneState(lane, application, self._pace_of(lane))
        for lane, state in list(self._lanes.items()):
            if state.idle and self._applications.get(lane.application_id) is None:
                del self._lanes[lane]  # It was forgotten: there are too many others.
            state.news()
        self._unknown = frozenset(unknown)
        self._undiscovered = False

    def _read_ahead(self, now: float) -> None:
        busy = sum(not state.idle for state in self._lanes.values())
        share_bytes = min(READ_AHEAD_BYTES, READ_AHEAD_BYTES_IN_ALL // max(1, busy))
        for state in self._lanes.values():
            state.read_ahead_bytes = share_bytes
            self._read(state, now)
            if state.is_behind(self._clock.cautious_wall()):
                state.read_behind(self._spool.newest_row())
                self._read(state, now)

    def _read(self, state: LaneState, now: float) -> None:
        for stretch in state.stretches:
            while not stretch.caught_up and (wanted := state.wanted(stretch)):
                chunks = self._spool.peek(state.lane, stretch.after, wanted.items, stretch.upto, wanted.bytes)
                state.take(chunks, now, stretch)

    def _dispatch(self, state: LaneState, now: float) -> None:
        while self._may_upload(state) and state.gate.admits(now, state.in_flight, state.concurrency):
            # What a worker has said since may be what a failing lane waits for: another proxy, or authority.
            state.application = self._applications.get(state.lane.application_id) or state.application
            batch = self._next_batch(state, now)
            if batch is None:
                return
            job = partial(self._upload, state, state.application, batch, now)
            try:
                self._threads.run(job, len(self._under_way) + 1)
            except RuntimeError:
                state.give_back_last(batch)
                raise
            state.in_flight += 1
            self._under_way += (now,)

    def _may_upload(self, state: LaneState) -> bool:
        """Whether one more fits among all that are under way."""
        under_way = len(self._under_way)
        if under_way >= MAX_UPLOADS // 2 and state.in_flight:
            return False
        return under_way < MAX_UPLOADS

    def _next_batch(self, state: LaneState, now: float) -> Batch | None:
        def encode(item: Item) -> bytes:
            return encode_item(item.kind, item.payload)

        expires_before = self._clock.cautious_wall() - MAX_AGE_S
        if state.needs_witness:
            return state.witness(encode, expires_before)
        flush = self._draining(state.lane)
        return state.next_batch(now, flush=flush, encode=encode, expires_before=expires_before)

    def _upload(self, state: LaneState, application: Application, batch: Batch, started_at: float) -> None:
        try:
            outcome = self._uploader.upload(state.lane, application, batch.bodies, retry=batch.retry)
        except Exception as error:  # noqa: BLE001  # a fault of ours must not cost the batch, nor the thread
            outcome = RetryLater(None, f"fault in the shipper: {type(error).__name__}")
        self._mailbox.put((state, Finished(batch, started_at, outcome)))

    def _draining(self, lane: Lane) -> bool:
        return any(drain.concerns(lane) for drain in self._drains if not drain.withdrawn)

    def _answer_drains(self, now: float) -> None:
        for drain in list(self._drains):
            answer = drain.answer(self._lanes.values(), now, self._unknown, all_known=not self._undiscovered)
            if answer is not None or drain.withdrawn:
                self._drains.remove(drain)
            if answer is not None and not drain.withdrawn:
                drain.on_done(*answer)

    def _say(self, state: LaneState, notice: Notice | None) -> None:
        if notice is not None:
            quiet = self._hourly if notice.lasting else self._quiet
            label, stream = state.application.label, state.lane.stream
            text = "%s of %s: %s (%s)"
            quiet.say(f"{notice.cause} {label} {stream}", text, stream, label, notice.cause, notice.text)

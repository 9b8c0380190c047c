"""The delivery loop: spool → batches → collector, and the fates back into the spool.

One coordinator thread owns all state: it reads ahead and settles (``lanes``), forms batches, and decides who
may upload when (``under_way``). Upload threads only upload. All that others want of the coordinator comes
through one mailbox, which is also what it sleeps on. Each turn settles all chunks that were decided meanwhile
in one transaction.

A row leaves the spool only by ``settle``, after the collector has answered; so whatever ends this process
early costs repeated uploads, which the collector recognises, and never an event.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moesifasgi.quiet import Quiet
from moesifasgi.shipper.batch import Batch
from moesifasgi.shipper.clock import Clock
from moesifasgi.shipper.delivery_status import status_of
from moesifasgi.shipper.drain import Drain, OnDone, unknown_reason
from moesifasgi.shipper.fates import Finished, Notice, apply_outcome
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.shipper.lane import LaneState
from moesifasgi.shipper.lanes import Applications, Lanes
from moesifasgi.shipper.liveness import Pulse
from moesifasgi.shipper.payload import encode_item
from moesifasgi.shipper.schedule import Situation, next_turn_at
from moesifasgi.shipper.spool import Item, Lane, Spool, SpoolError
from moesifasgi.shipper.under_way import UnderWay
from moesifasgi.shipper.upload_threads import UploadThreads
from moesifasgi.shipper.uploader import Uploader, Uploads

MAX_AGE_S = 30 * 86_400.0
"""The collector refuses older events; what is spooled longer is dropped as ``expired``."""
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
        threads: UploadThreads | None = None,
    ) -> None:
        self._uploader = uploader or Uploader()
        self._clock = clock or Clock()
        self._random01 = random01
        self._quiet = Quiet(logger)
        self._hourly = Quiet(logger, LASTING_INTERVAL_S)
        self._mailbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._news = threading.Event()
        self._lanes = Lanes(spool, applications, pace or Pace())
        self._under_way = UnderWay(self._uploader, threads or UploadThreads(), self._tell)
        self._drains: list[Drain] = []
        self._spool_failures = 0
        self._due_at = float("inf")
        """When the coordinator means to do something next; past while it is at it."""
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
        return not self._news.is_set() and self._lanes.idle

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
        begun = self._under_way.begun
        is_due = bool(begun or self._fault) or forgotten or now >= self._due_at
        return Pulse(self._under_way.ended + self._spool_failures, is_due, min(begun, default=None))

    def status(self) -> dict[str, Any]:
        """``applications`` by their ids, ``reasons`` why events do not arrive, and totals of uploads."""
        now = self._clock.monotonic()
        found = status_of(self._lanes, self._uploader.traffic, now, list(self._reasons()))
        return {**found, "dead_letters": dict(self._lanes.dead_letters)}

    def _reasons(self) -> Iterator[Reason]:
        if self._spool_fault:
            yield Reason(f"the spool fails: {self._spool_fault}", Advice.DISK)
        if self._fault:
            yield Reason(f"fault in the delivery loop: {self._fault}", Advice.BEGINS_AFRESH)
        for what in sorted({unknown_reason(lane) for lane in self._lanes.unknown}):
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
        self._under_way.close()

    def _may_leave(self) -> bool:
        if self._close_by is None:
            return False
        return not self._under_way.begun or self._clock.monotonic() >= self._close_by

    def _wait_s(self) -> float:
        now = self._clock.monotonic()
        situation = Situation(
            now,
            self._lanes.undiscovered,
            self._draining,
            self._under_way.admits,
            self._close_by,
            self._spool_rest_until,
        )
        self._due_at = next_turn_at(situation, self._lanes, self._drains)
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
                self._lanes.reconsider(message.paces, self._clock.monotonic())
            case Drain():
                self._drains.append(message)
                self._lanes.undiscovered = True
            case (LaneState() as state, Finished() as finished):
                self._under_way.end(state, finished)
                now = self._clock.monotonic()
                self._say(state, apply_outcome(state, finished, now, self._random01()))

    def _tell(self, state: LaneState, finished: Finished) -> None:
        self._mailbox.put((state, finished))

    def _turn(self, now: float) -> None:
        if self._close_by is None:
            self._work_on_spool(now)
            for state in self._lanes.in_turn():
                self._dispatch(state, now)
        self._answer_drains(now)

    def _work_on_spool(self, now: float) -> None:
        if now < self._spool_rest_until:
            return
        try:
            self._lanes.settle()
            if self._close_by is None:
                self._discover()
                self._lanes.read_ahead(now, self._clock.cautious_wall)
            self._spool_fault = ""
        except SpoolError as error:
            self._spool_rest_until = now + SPOOL_REST_S
            self._spool_failures += 1
            self._spool_fault = str(error)
            self._quiet.say("spool", "the spool failed, will try again: %s", error)

    def _discover(self) -> None:
        if self._lanes.has_learned or self._news.is_set():
            self._lanes.undiscovered = True
        if self._lanes.undiscovered:
            self._news.clear()
            self._lanes.discover()

    def _dispatch(self, state: LaneState, now: float) -> None:
        while self._under_way.admits(state) and state.gate.admits(now, state.in_flight, state.concurrency):
            self._lanes.refresh(state)
            batch = self._next_batch(state, now)
            if batch is None:
                return
            try:
                self._under_way.begin(state, batch, now)
            except RuntimeError:
                state.give_back_last(batch)
                raise

    def _next_batch(self, state: LaneState, now: float) -> Batch | None:
        def encode(item: Item) -> bytes:
            return encode_item(item.kind, item.payload)

        expires_before = self._clock.cautious_wall() - MAX_AGE_S
        if state.needs_witness:
            return state.witness(encode, expires_before)
        flush = self._draining(state.lane)
        return state.next_batch(now, flush=flush, encode=encode, expires_before=expires_before)

    def _draining(self, lane: Lane) -> bool:
        return any(drain.concerns(lane) for drain in self._drains if not drain.withdrawn)

    def _answer_drains(self, now: float) -> None:
        for drain in list(self._drains):
            all_known = not self._lanes.undiscovered
            answer = drain.answer(self._lanes, now, self._lanes.unknown, all_known=all_known)
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

"""One lane between spool and collector: what was read ahead, and what is uploaded next. Pure.

    spool ─► take ─► waiting ─► next_batch ─► in flight ─► delivered / dead_letter ─► settlements ─► spool
                                    ▲             │
                                    └─ returned ◄─┘  give_back, bisect

``held`` keeps the fates, ``returned`` what came back, ``stretch`` where it is read; here they meet.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from moesifasgi.shipper.batch import Batch, Entry, OpenChunk
from moesifasgi.shipper.batch_size import MAX_BATCH_SIZE, UploadBytes, filling, most_items
from moesifasgi.shipper.gate import Gate, GateState, Pace
from moesifasgi.shipper.held import Held
from moesifasgi.shipper.readiness import Encode, Readiness
from moesifasgi.shipper.retry import backoff_s
from moesifasgi.shipper.returned import MAX_FAILED_ALONE, Returned
from moesifasgi.shipper.spool import Lane, StoredChunk
from moesifasgi.shipper.stretch import FRESH_S, MAX_STRETCHES, Stretch, Stretches
from moesifasgi.wire.application import Application

READ_AHEAD_BATCHES = 2
"""Batches read ahead for each concurrent upload."""
READ_AHEAD_BYTES = 16 * 1024 * 1024
"""Payload bytes that a lane holds in memory, beside at most one chunk more."""
ORDERED_STREAMS = frozenset({"users", "companies", "subscriptions"})
"""Merged by the collector under their own id, so the last one must be the newest: one upload at a time."""
_NOW = float("-inf")


class Wanted(NamedTuple):
    """How much to read; at least one chunk, if there is one."""

    items: int
    bytes: int


class LaneState:
    """One lane's part of the delivery loop. Owned by one thread; times are monotonic unless named wall."""

    def __init__(self, lane: Lane, application: Application, pace: Pace) -> None:
        self.lane = lane
        self.application = application
        self.gate = Gate(pace)
        self.held = Held()
        self.in_flight = 0
        self.read_ahead_bytes = READ_AHEAD_BYTES
        """Most bytes of items to hold; beyond it one chunk at a time."""
        self.refused_run = 0
        """Single items refused since the last delivery."""
        self._max_refused_run = pace.max_refused_run
        self._backoff = pace.backoff
        self._stretches = Stretches()
        self._upload_bytes = UploadBytes()
        self._ordered = lane.stream in ORDERED_STREAMS
        self._returned = Returned(ordered=self._ordered)
        self._delivered_since = float("-inf")
        """When the youngest upload began that was delivered."""
        self._witnesses = 0

    @property
    def cursor(self) -> int:
        """The newest row that was read."""
        return self._stretches.newest.after

    @property
    def caught_up(self) -> bool:
        """The last read of what is newest came back empty; older rows may be unread (``oldest_row``)."""
        return self._stretches.newest.caught_up

    @property
    def stretches(self) -> Sequence[Stretch]:
        """Where to read now."""
        return self._stretches.in_turn

    @property
    def idle(self) -> bool:
        """Nothing left to upload or to settle, as far as the last read knows."""
        return self.caught_up and len(self._stretches) == 1 and not self.held

    @property
    def oldest_row(self) -> int | None:
        """The oldest row that is not settled, or not read."""
        known = [row for row in (self.held.oldest_row, self._stretches.first_unread) if row is not None]
        return min(known, default=None)

    @property
    def refusing(self) -> bool:
        """The collector refuses whatever it is given, one by one."""
        return self.refused_run >= self._max_refused_run

    @property
    def needs_witness(self) -> bool:
        """Whether the next probe has to be something else than what comes next, which would tell nothing."""
        doubted = self._ordered and self._returned.doubted and self.gate.state is not GateState.OPEN
        return self.refusing or doubted

    @property
    def concurrency(self) -> int:
        """Most uploads in flight."""
        return 1 if self._ordered else max(1, self.application.concurrent_uploads)

    def news(self) -> None:
        """Something may have been appended."""
        self._stretches.newest.caught_up = False

    def wanted(self, stretch: Stretch) -> Wanted | None:
        """What to read there now; None while enough is held, or while nothing can be delivered."""
        if self.held and self.gate.state is not GateState.OPEN:
            return None
        items = READ_AHEAD_BATCHES * self.concurrency * max(filling(self.application), MAX_BATCH_SIZE)
        items_left, bytes_left = items - self.held.items, self.read_ahead_bytes - self.held.bytes
        if len(self._stretches) > 1:
            items_left = min(items_left, items // 2 - len(stretch.waiting))
            bytes_left = min(bytes_left, self.read_ahead_bytes // 2 - stretch.waiting_bytes)
        if items_left > 0 and bytes_left > 0:
            return Wanted(items_left, bytes_left)
        starved = not self.held or (len(self._stretches) > 1 and not stretch.waiting)
        return Wanted(1, 1) if starved else None

    def take(self, chunks: Sequence[StoredChunk], now: float, stretch: Stretch | None = None) -> None:
        """What was read of a stretch (None: the newest) behind its ``after``; nothing at all is its end."""
        stretch = stretch or self._stretches.newest
        for stored in chunks:
            chunk = OpenChunk(stored, now)
            self.held.take(chunk)
            stretch.add(chunk)
        self._stretches.was_read(stretch, something=bool(chunks))

    def is_behind(self, wall_now: float) -> bool:
        """Whether what happens now would have to wait for long: it is time to read the newest as well.

        Not where order matters, nor while the collector is the reason.
        """
        newest = self._stretches.newest
        if self._ordered or self.gate.state is not GateState.OPEN:
            return False
        if newest.caught_up or not newest.waiting or self.wanted(newest):
            return False
        waited_s = wall_now - newest.waiting[0].chunk.stored.appended_at
        # Below nothing: a clock was set back, so it came before that, and nobody knows how long before.
        fresh = 0.0 <= waited_s <= FRESH_S
        return not fresh and len(self._stretches) < MAX_STRETCHES

    def read_behind(self, newest_row: int) -> None:
        """From now on read behind this row too, the spool's newest."""
        if len(self._stretches) > 1:
            # What is read neither now nor next holds nothing of what may be held.
            for chunk in self._stretches.newest.give_back():
                self.held.forget(chunk)
        self._stretches.close(newest_row)

    def due_at(self, flush: bool) -> float | None:
        """When the next batch may go: -inf for now; None where there is nothing to upload."""
        times = [self._stretch_due_at(stretch, flush) for stretch in self._stretches.in_turn]
        times.append(self._returned.due_at())
        return min((at for at in times if at is not None), default=None)

    def _stretch_due_at(self, stretch: Stretch, flush: bool) -> float | None:
        if not stretch.waiting:
            return None
        enough = len(stretch.waiting) >= filling(self.application)
        full = enough or stretch.waiting_bytes >= self._upload_bytes.most
        # What is behind need not wait for more.
        if full or flush or stretch.closed:
            return _NOW
        return stretch.waiting[0].chunk.read_at + self.application.batch_timeout_s

    def next_batch(self, now: float, *, flush: bool, encode: Encode, expires_before: float) -> Batch | None:
        """The next batch to upload, oldest first; None if none is due.

        Items appended before ``expires_before`` (wall clock) are dropped, those that cannot be encoded
        become dead letters.
        """
        ready = Readiness(self.held, encode, expires_before)
        if self._returned.doubted and not self._ordered and self.gate.state is not GateState.OPEN:
            return self._fresh_batch(now, flush, ready) or self._half_of_returned(now, ready)
        returned = self._returned_batch(now, ready)
        if returned is None and not (self._ordered and self._returned):
            return self._fresh_batch(now, flush, ready)
        return returned

    def _returned_batch(self, now: float, ready: Readiness) -> Batch | None:
        while (batch := self._returned.take(now)) is not None:
            if (rest := ready.rest_of(batch)) is not None:
                return rest
        return None

    def _half_of_returned(self, now: float, ready: Readiness) -> Batch | None:
        """Where there is nothing else to try, one half of what is doubted tells of the other."""
        batch = self._returned_batch(now, ready)
        if batch is None or len(batch.entries) == 1:
            return batch
        self._returned.halve(Batch(batch.entries), now)
        return self._returned.take(now)

    def _fresh_batch(self, now: float, flush: bool, ready: Readiness) -> Batch | None:
        for stretch in self._stretches.in_turn:
            due_at = self._stretch_due_at(stretch, flush)
            if due_at is not None and due_at <= now:
                entries = self._cut(stretch, ready)
                self._stretches.used(stretch)
                return Batch(tuple(entries)) if entries else None
        return None

    def _cut(self, stretch: Stretch, ready: Readiness) -> list[Entry]:
        entries: list[Entry] = []
        size, total = most_items(self.application, len(stretch.waiting)), 2
        while stretch.waiting and len(entries) < size:
            entry = stretch.waiting[0]
            if ready.admits(entry):
                total += len(entry.body) + 1
                if entries and total > self._upload_bytes.most:
                    break
                entries.append(entry)
            stretch.take_oldest()
        return entries

    def witness(self, encode: Encode, expires_before: float) -> Batch | None:
        """A probe while all is refused: the newest item alone, which tells most about the collector now.

        Where order matters, a copy of another item each time.
        """
        ready = Readiness(self.held, encode, expires_before)
        if self._ordered:
            return self._copied_witness(ready)
        for stretch in self._stretches.newest_first:
            while stretch.waiting:
                entry = stretch.take_newest()
                if ready.admits(entry):
                    return Batch((entry,))
        batch = self._returned_batch(float("inf"), ready)
        if batch is None:
            return None
        first, *rest = batch.entries
        if rest:
            self._returned.first(replace(batch, entries=tuple(rest)))
        return replace(batch, entries=(first,))

    def _copied_witness(self, ready: Readiness) -> Batch | None:
        """From the newest to the oldest of what is held: one bad update must not stand for all.

        The item itself is uploaded in its turn, so the last that the collector hears of is still the newest.
        """
        if entries := self._cut(self._stretches.newest, ready):
            self._returned.last(Batch(tuple(entries)))
        held = [entry for batch in self._returned for entry in batch.entries]
        if not held:
            return None
        self._witnesses += 1
        return Batch((held[-self._witnesses % len(held)],), copied=True)

    def delivered(self, batch: Batch, started_at: float = float("-inf")) -> None:
        self.refused_run = 0
        self._delivered_since = max(self._delivered_since, started_at)
        if batch.copied:
            return
        self._upload_bytes.delivered()
        for entry in batch.entries:
            self.held.deliver(entry)

    def give_back(self, batch: Batch, now: float, *, blamed: bool) -> None:
        """The same batch again. ``blamed``: it may have to do with its content, for all that is known."""
        if batch.copied:
            return
        if blamed:
            self._returned.failed(batch, now)
        else:
            self._returned.first(replace(batch, retry=True))

    def give_back_last(self, batch: Batch) -> None:
        """The same batch again, after the others that came back; but before them where order matters."""
        if batch.copied:
            return
        if self._ordered:
            self._returned.first(replace(batch, retry=True))
        else:
            self._returned.last(replace(batch, retry=True))

    def fails_alone(self, batch: Batch) -> bool:
        """Whether something else was delivered since this batch was doubted."""
        return not batch.copied and self._delivered_since > batch.doubted_at

    def set_apart(self, batch: Batch, now: float, random01: float, code: str, reason: str) -> None:
        """A batch that failed alone: halves, or a single item that is tried again later, and not for ever."""
        if len(batch.entries) > 1:
            self._returned.halve(batch, now)
        elif batch.failed_alone < MAX_FAILED_ALONE:
            self._returned.set_apart(batch, now + backoff_s(batch.failed_alone + 1, random01, self._backoff))
        else:
            self.held.dead_letter(batch.entries[0], code, f"{reason}, while others are delivered")

    def bisect(self, batch: Batch, now: float, *, too_large: bool = False) -> None:
        """Two halves instead of the whole; after ``too_large`` the next are smaller."""
        if too_large:
            self._upload_bytes.too_large(batch)
        self._returned.halve(batch, now)

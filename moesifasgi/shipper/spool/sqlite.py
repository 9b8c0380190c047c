"""The durable spool: one SQLite file, owned by one process."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from sqlite3 import Connection
from typing import Concatenate, ParamSpec, TypeVar

from moesifasgi.places import refuse_strangers
from moesifasgi.shipper.spool import (
    ANY_SIZE,
    LAST_ROW,
    Chunk,
    KeptDeadLetter,
    Lane,
    LetterKey,
    Limits,
    Settlement,
    SpoolError,
    StoredChunk,
    Totals,
    Usage,
    books,
    dead_letters,
    tables,
)
from moesifasgi.shipper.spool.database import Database, Transaction
from moesifasgi.shipper.spool.dead_letters import MAX_DEAD_LETTERS, Bound
from moesifasgi.shipper.spool.ledger import (
    DEAD_LETTERED,
    DEAD_LETTERS,
    DISCARDED,
    DROPPED,
    DUPLICATES,
    GAPS,
    TAKEN,
    WAITING,
    Change,
)
from moesifasgi.shipper.spool.owner import OwnerLock
from moesifasgi.shipper.spool.refilling import Refilling
from moesifasgi.shipper.spool.room import DiskGauge, Room
from moesifasgi.shipper.spool.rows import ChunkRow, DamagedRow, chunk_of, from_row, to_row
from moesifasgi.shipper.spool.schema import Durability, SpoolDamaged
from moesifasgi.shipper.spool.told import tell_damaged, tell_expired
from moesifasgi.wire.application import Application

P = ParamSpec("P")
R = TypeVar("R")
CLOCK_NOT_SET = 1_577_836_800.0
"""2020-01-01. There were no spools then: a machine without a clock of its own was not told the time yet."""


def open_spool(
    directory: Path,
    *,
    max_bytes: int,
    min_free_bytes: int,
    durability: Durability,
    clock: Callable[[], float] = time.time,
    age_clock: Callable[[], float] | None = None,
    max_dead_letters: int = MAX_DEAD_LETTERS,
) -> "SqliteSpool":
    """Own and open the spool of a directory, made if need be.

    ``max_bytes`` bounds the compressed bodies, ``min_free_bytes`` is what the file system keeps. ``full``
    durability means that what ``append`` took is on the disk; ``normal`` that it survives any process.
    ``clock`` says when something came, ``age_clock`` what time it is to judge ages by: what a clock that is
    too cautious writes down looks too old to the next one.
    Raises SpoolInUse, and SpoolError for a file of a newer version or a directory that cannot be used.
    """
    _make(directory)
    lock = OwnerLock(directory)
    database = Database(directory, durability, clock)
    try:
        database.open()
    except BaseException:
        lock.release()
        raise
    letters = Bound(max_dead_letters, _dead_letter_bytes(max_bytes))
    disk = DiskGauge(directory)
    return SqliteSpool(
        lock, database, Room(max_bytes), disk, min_free_bytes, letters, clock, age_clock or clock
    )


def _make(directory: Path) -> None:
    """The directory, if there is none yet. SpoolError: it cannot be made, or others may write to it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SpoolError(f"cannot make {directory}: {error.strerror}") from error
    try:
        refuse_strangers(directory.stat())
    except OSError as error:
        raise SpoolError(f"cannot use {directory}: {error.strerror}") from error


def _dead_letter_bytes(max_bytes: int) -> int:
    return max_bytes // 10


def mended(method: Callable[Concatenate["SqliteSpool", P], R]) -> Callable[Concatenate["SqliteSpool", P], R]:
    """Once more after the file was found damaged, set aside and replaced."""

    @wraps(method)
    def attempt(spool: "SqliteSpool", /, *args: P.args, **kwargs: P.kwargs) -> R:
        generation = spool.database.generation
        try:
            return method(spool, *args, **kwargs)
        except SpoolDamaged:
            spool.database.recover(generation)
        return method(spool, *args, **kwargs)

    return attempt


class SqliteSpool:
    """``Spool`` in a file; see ``open_spool``."""

    durable = True

    def __init__(
        self,
        lock: OwnerLock,
        database: Database,
        room: Room,
        disk: DiskGauge,
        min_free_bytes: int,
        dead_letter_bound: Bound,
        clock: Callable[[], float],
        age_clock: Callable[[], float],
    ) -> None:
        self.database = database
        self._lock = lock
        self._room = room
        self._disk = disk
        self._min_free_bytes = min_free_bytes
        self._dead_letter_bound = dead_letter_bound
        self._clock = clock
        self._age_clock = age_clock
        self._opened_at = age_clock()
        self._damaged = 0
        self._refilling = Refilling(database, self._refusal, self._store)
        for application in self.applications():
            # Those too that hold nothing now: what they are owed must not be taken before they come back.
            room.serve(application.application_id)
        for lane in database.ledger.lanes_with_events():
            room.serve(lane.application_id)

    @mended
    def append(
        self, chunks: Sequence[Chunk], sessions: Mapping[bytes, int], *, duplicates: int = 0, gaps: int = 0
    ) -> int:
        self.database.refuse_if_astray()
        now = self._clock()
        # Compressed before anything is locked.
        rows = [to_row(chunk, row, now) for row, chunk in enumerate(chunks, self.database.last_row + 1)]
        with self.database.transaction(self.database.intake) as running:
            running.change.counters.update({DUPLICATES: duplicates, GAPS: gaps})
            dropped = sum(self._take(running, row) for row in rows)
            tables.write_sessions(running.connection, sessions, now)
        self.database.last_row += len(rows)
        return dropped

    def _take(self, running: Transaction, row: ChunkRow) -> int:
        """Store a row, or count its items as dropped; returns how many were."""
        running.change.counters[TAKEN] += row.events
        refusal = self._refusal(running.change, row)
        if refusal is not None:
            running.change.drop(refusal, row.events)
            return row.events
        self._store(running, row)
        return 0

    def _store(self, running: Transaction, row: ChunkRow) -> None:
        size = len(row.body)
        tables.insert_chunk(running.connection, running.lane_number(row.lane), row)
        running.change.hold(row.lane, row.events, size)
        self._disk.spend(size)

    def _refusal(self, change: Change, row: ChunkRow) -> str | None:
        spare_bytes = self._disk.free_bytes(self._clock()) - self._min_free_bytes
        ledger, application_id = self.database.ledger, row.lane.application_id
        return self._room.refusal(ledger, change, application_id, len(row.body), spare_bytes)

    @mended
    def look_after(self) -> bool:
        self.database.look_after(self._own)
        return self._refilling.step()

    def _own(self) -> None:
        if not self._lock.holds:
            _make(self.database.path.parent)
            self._lock.renew()

    @mended
    def last_sequence(self, session: bytes) -> int | None:
        with self.database.intake.turn() as connection:
            return tables.select_session(connection, session)

    @mended
    def end_session(self, session: bytes) -> None:
        with self.database.transaction(self.database.intake) as running:
            tables.delete_sessions(running.connection, [session])

    @mended
    def forget_sessions(self, older_than_s: float, keep: frozenset[bytes]) -> int:
        with self.database.transaction(self.database.delivery) as running:
            old = tables.sessions_before(running.connection, self._age_clock() - older_than_s)
            old = [session for session in old if session not in keep]
            tables.delete_sessions(running.connection, old)
        return len(old)

    @mended
    def remember(self, application: Application) -> None:
        with self.database.transaction(self.database.delivery) as running:
            tables.write_application(running.connection, application)
        self._room.serve(application.application_id)

    @mended
    def applications(self) -> list[Application]:
        with self.database.delivery.turn() as connection:
            return list(tables.select_applications(connection))

    @mended
    def remember_policy(self, application_id: str, policy: bytes) -> None:
        with self.database.transaction(self.database.delivery) as running:
            tables.write_policy(running.connection, application_id, policy)

    @mended
    def policies(self) -> dict[str, bytes]:
        with self.database.delivery.turn() as connection:
            return dict(tables.select_policies(connection))

    @mended
    def forget(self, application_id: str) -> None:
        with self.database.transaction(self.database.delivery) as running:
            tables.delete_application(running.connection, application_id)
        self._room.leave(application_id)

    def lanes(self) -> list[Lane]:
        with self.database.settled_books() as ledger:
            return ledger.lanes_with_events()

    def newest_row(self) -> int:
        return self.database.last_row

    @mended
    def peek(
        self, lane: Lane, after: int, max_items: int, upto: int = LAST_ROW, max_bytes: int = ANY_SIZE
    ) -> list[StoredChunk]:
        while True:
            rows = self._read(lane, after, max_items, upto, max_bytes)
            sound, damaged = self._sorted_out(rows)
            if damaged:
                self._drop_damaged(damaged)
            if sound or not rows:
                return sound
            after = rows[-1].row

    def _sorted_out(self, rows: Iterable[ChunkRow]) -> tuple[list[StoredChunk], list[int]]:
        """Chunks of the sound rows, numbers of the damaged ones."""
        sound: list[StoredChunk] = []
        damaged: list[int] = []
        for row in rows:
            try:
                chunk = from_row(row)
            except DamagedRow:
                damaged.append(row.row)
                continue
            dated = self._dated(chunk.appended_at)
            sound.append(chunk if dated == chunk.appended_at else replace(chunk, appended_at=dated))
        return sound, damaged

    def _dated(self, appended_at: float) -> float:
        """When a row came: not before this shipper, if it says that a clock was not set yet."""
        return self._opened_at if appended_at < CLOCK_NOT_SET <= self._opened_at else appended_at

    def _read(self, lane: Lane, after: int, max_items: int, upto: int, max_bytes: int) -> list[ChunkRow]:
        with self.database.delivery.turn() as connection:
            number = self.database.numbers.number(lane)
            if number is None:
                return []
            rows = tables.select_chunks(connection, number, lane, after, max_items, upto, max_bytes)
            if not rows and after == 0 and upto == LAST_ROW:
                self._check_empty(connection, number, lane)
        return rows

    def _check_empty(self, connection: Connection, number: int, lane: Lane) -> None:
        """Raises SpoolDamaged if the books say that there are rows where none was found."""
        with self.database.settled_books() as ledger:
            held = ledger.holding(lane).events
            if held and not tables.select_chunks(connection, number, lane, after=0, max_items=1):
                raise SpoolDamaged(f"{held} items cannot be found")

    def _drop_damaged(self, rows: list[int]) -> None:
        """Remove rows that say nothing reliable, not even whose they were: what is left is counted."""
        with self.database.transaction(self.database.delivery) as running:
            for row in rows:
                tables.delete_chunk(running.connection, row)
            for lane, held in self.database.ledger.lanes.items():
                left = books.counted(running.connection, running.lane_number(lane))
                running.change.hold(lane, left.events - held.events, left.bytes - held.bytes)
                running.change.drop("damaged", held.events - left.events)
            lost = running.change.counters[DROPPED + "damaged"]
        self._damaged += lost
        tell_damaged(lost)

    @mended
    def settle(self, settlements: Sequence[Settlement]) -> None:
        tell_expired(settlements)
        now = self._clock()
        with self.database.transaction(self.database.delivery) as running:
            for settlement in settlements:
                _settle(running, settlement, now)
            ledger, bound = self.database.ledger, self._dead_letter_bound
            dead_letters.trim(running.connection, bound, ledger, running.change)
        with suppress(SpoolError):  # The settlement stands, whether space could be given back or not.
            self.database.give_back()

    def usage(self) -> Usage:
        oldest, fault = None, ""
        try:
            oldest = self._oldest_append()
        except SpoolError as error:
            fault = str(error)
        with self.database.settled_books() as ledger:
            return Usage(
                events=ledger.events + ledger.counters[WAITING],
                bytes=ledger.bytes,
                max_bytes=self._room.max_bytes,
                oldest_age_s=None if oldest is None else max(0.0, self._age_clock() - oldest),
                dead_letters=ledger.counters[DEAD_LETTERS],
                fault=fault,
                mishaps=tuple(self.database.mishaps),
                waiting=ledger.counters[WAITING],
                damaged=self._damaged,
            )

    @mended
    def _oldest_append(self) -> float | None:
        with self.database.delivery.turn() as connection:
            found = tables.oldest_append(connection)
        return None if found is None else self._dated(found)

    def limit(self, limits: Limits) -> None:
        self._room.max_bytes, self._room.quotas = limits.max_bytes, limits.quotas
        self._min_free_bytes = limits.min_free_bytes
        self._dead_letter_bound = Bound(self._dead_letter_bound.letters, _dead_letter_bytes(limits.max_bytes))

    def totals(self) -> Totals:
        with self.database.settled_books() as ledger:
            return ledger.totals()

    @mended
    def dead_letters(self, limit: int, after: int = 0) -> list[KeptDeadLetter]:
        with self.database.delivery.turn() as connection:
            return dead_letters.select(connection, limit, after)

    @mended
    def dead_letter(self, key: LetterKey) -> KeptDeadLetter | None:
        with self.database.delivery.turn() as connection:
            return next(iter(dead_letters.find(connection, [key])), None)

    @mended
    def retry_dead_letters(self, keys: Sequence[LetterKey]) -> int:
        self.database.refuse_if_astray()
        now = self._clock()
        with self.database.transaction(self.database.intake) as running:
            letters = dead_letters.find(running.connection, dict.fromkeys(keys))
            rows = [
                to_row(chunk_of(letter), row, now)
                for row, letter in enumerate(letters, self.database.last_row + 1)
            ]
            running.change.withdraw(len(letters), self.database.ledger.counters[DEAD_LETTERED])
            dead_letters.remove(running.connection, [letter.key for letter in letters], running.change)
            for row in rows:
                if (refusal := self._refusal(running.change, row)) is not None:
                    raise SpoolError(f"there is no room for {len(rows)} dead letters: {refusal}")
                self._store(running, row)
        self.database.last_row += len(rows)
        return len(rows)

    @mended
    def discard_dead_letters(self, keys: Sequence[LetterKey]) -> int:
        with self.database.transaction(self.database.delivery) as running:
            removed = dead_letters.remove(running.connection, keys, running.change)
            running.change.withdraw(removed, self.database.ledger.counters[DEAD_LETTERED])
            running.change.drop(DISCARDED, removed)
        return removed

    def close(self) -> None:
        with suppress(SpoolError):  # Once more, for the last moments; but not for a directory that is gone.
            self.database.look_after(self._lock.renew)
        self.database.close()
        self._lock.release()


def _settle(running: Transaction, settlement: Settlement, now: float) -> None:
    facts = tables.row_facts(running.connection, settlement.row)
    if facts is None:
        return
    lane = running.numbers.lane(facts.lane_number)
    running.change.settle(settlement, lane, facts.events, facts.bytes)
    tables.delete_chunk(running.connection, settlement.row)
    dead_letters.keep(running.connection, lane, settlement.dead_letters, now, running.change)

"""The durable spool: one SQLite file, owned by one process."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

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
    dead_letters,
    tables,
)
from moesifasgi.shipper.spool.database import Database, Transaction
from moesifasgi.shipper.spool.dead_letters import MAX_DEAD_LETTERS, Bound
from moesifasgi.shipper.spool.ledger import (
    DEAD_LETTERED,
    DEAD_LETTERS,
    DISCARDED,
    DUPLICATES,
    GAPS,
    WAITING,
)
from moesifasgi.shipper.spool.owner import OwnerLock, refuse_directory
from moesifasgi.shipper.spool.reading import Reading
from moesifasgi.shipper.spool.refilling import Refilling
from moesifasgi.shipper.spool.room import DiskGauge, Room
from moesifasgi.shipper.spool.rows import chunk_of, to_row
from moesifasgi.shipper.spool.schema import Durability, SpoolDamaged
from moesifasgi.shipper.spool.storing import Storing
from moesifasgi.shipper.spool.told import tell_expired
from moesifasgi.wire.application import Application

P = ParamSpec("P")
R = TypeVar("R")


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
    storing = Storing(database, Room(max_bytes), DiskGauge(directory), min_free_bytes, clock)
    return SqliteSpool(lock, database, storing, letters, clock, age_clock or clock)


def _make(directory: Path) -> None:
    """The directory, if there is none yet. SpoolError: it cannot be made, or is not for us to use."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SpoolError(f"cannot make {directory}: {error.strerror}") from error
    refuse_directory(directory)


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
        storing: Storing,
        dead_letter_bound: Bound,
        clock: Callable[[], float],
        age_clock: Callable[[], float],
    ) -> None:
        self.database = database
        self._lock = lock
        self._storing = storing
        self._dead_letter_bound = dead_letter_bound
        self._clock = clock
        self._age_clock = age_clock
        self._reading = Reading(database, age_clock())
        self._refilling = Refilling(database, storing.refusal, storing.store)
        for application in self.applications():
            # Those too that hold nothing now: what they are owed must not be taken before they come back.
            storing.room.serve(application.application_id)
        for lane in database.ledger.lanes_with_events():
            storing.room.serve(lane.application_id)

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
            dropped = sum(self._storing.take(running, row) for row in rows)
            tables.write_sessions(running.connection, sessions, now)
        self.database.last_row += len(rows)
        return dropped

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
        self._storing.room.serve(application.application_id)

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
        self._storing.room.leave(application_id)

    def lanes(self) -> list[Lane]:
        with self.database.settled_books() as ledger:
            return ledger.lanes_with_events()

    def newest_row(self) -> int:
        return self.database.last_row

    @mended
    def peek(
        self, lane: Lane, after: int, max_items: int, upto: int = LAST_ROW, max_bytes: int = ANY_SIZE
    ) -> list[StoredChunk]:
        return self._reading.peek(lane, after, max_items, upto, max_bytes)

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
                max_bytes=self._storing.room.max_bytes,
                oldest_age_s=None if oldest is None else max(0.0, self._age_clock() - oldest),
                dead_letters=ledger.counters[DEAD_LETTERS],
                fault=fault,
                mishaps=tuple(self.database.mishaps),
                waiting=ledger.counters[WAITING],
                damaged=self._reading.damaged,
            )

    @mended
    def _oldest_append(self) -> float | None:
        with self.database.delivery.turn() as connection:
            found = tables.oldest_append(connection)
        return None if found is None else self._reading.dated(found)

    def limit(self, limits: Limits) -> None:
        self._storing.limit(limits)
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
                if (refusal := self._storing.refusal(running.change, row)) is not None:
                    raise SpoolError(f"there is no room for {len(rows)} dead letters: {refusal}")
                self._storing.store(running, row)
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

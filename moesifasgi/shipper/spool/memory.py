"""The spool's twin in memory: for tests, and where there is no directory to write to. Not durable.

What it holds dies with the process, so an acknowledgement means no more than that the shipper has it. Else it
is the same: chunks are compressed, and bound, books and fates are those of the file.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from moesifasgi.shipper.spool import (
    ANY_SIZE,
    LAST_ROW,
    Chunk,
    DeadLetter,
    KeptDeadLetter,
    Lane,
    LetterKey,
    Limits,
    Settlement,
    SpoolError,
    StoredChunk,
    Totals,
    Usage,
)
from moesifasgi.shipper.spool.dead_letters import MAX_DEAD_LETTERS, Bound
from moesifasgi.shipper.spool.ledger import (
    DEAD_LETTERED,
    DISCARDED,
    DUPLICATES,
    GAPS,
    TAKEN,
    Change,
    Ledger,
)
from moesifasgi.shipper.spool.room import Room
from moesifasgi.shipper.spool.rows import ChunkRow, chunk_of, from_row, to_row
from moesifasgi.shipper.spool.told import tell_expired
from moesifasgi.wire.application import Application


class MemorySpool:
    """``Spool`` without a file. Safe to use from several threads."""

    durable = False

    def __init__(
        self,
        max_bytes: int = 64 * 1024 * 1024,
        *,
        clock: Callable[[], float] = time.time,
        max_dead_letters: int = MAX_DEAD_LETTERS,
    ) -> None:
        self._room = Room(max_bytes)
        self._dead_letter_bound = Bound(max_dead_letters, max_bytes // 10)
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._ledger = Ledger()
        self._last_row = 0
        self._rows: dict[int, ChunkRow] = {}
        self._sessions: dict[bytes, _Session] = {}
        self._applications: dict[str, Application] = {}
        self._policies: dict[str, bytes] = {}
        self._dead_letters: dict[tuple[bytes, int], KeptDeadLetter] = {}
        self._dead_letter_bytes = self._letters = 0

    def append(
        self, chunks: Sequence[Chunk], sessions: Mapping[bytes, int], *, duplicates: int = 0, gaps: int = 0
    ) -> int:
        now, change = self._clock(), Change(counters=Counter({DUPLICATES: duplicates, GAPS: gaps}))
        with self._open():
            rows = [to_row(chunk, row, now) for row, chunk in enumerate(chunks, self._last_row + 1)]
            dropped = sum(self._take(change, row) for row in rows)
            self._sessions.update({session: _Session(last, now) for session, last in sessions.items()})
            self._ledger.post(change)
            self._last_row += len(rows)
        return dropped

    def _take(self, change: Change, row: ChunkRow) -> int:
        change.counters[TAKEN] += row.events
        size = len(row.body)
        refusal = self._room.refusal(self._ledger, change, row.lane.application_id, size, None)
        if refusal is not None:
            change.drop(refusal, row.events)
            return row.events
        self._rows[row.row] = row
        change.hold(row.lane, row.events, size)
        return 0

    def last_sequence(self, session: bytes) -> int | None:
        with self._open():
            found = self._sessions.get(session)
        return found.last if found else None

    def end_session(self, session: bytes) -> None:
        with self._open():
            self._sessions.pop(session, None)

    def forget_sessions(self, older_than_s: float, keep: frozenset[bytes]) -> int:
        before = self._clock() - older_than_s
        with self._open():
            old = [key for key, found in self._sessions.items() if found.touched_at < before]
            old = [session for session in old if session not in keep]
            for session in old:
                del self._sessions[session]
        return len(old)

    def remember(self, application: Application) -> None:
        with self._open():
            self._applications[application.application_id] = application
            self._room.serve(application.application_id)

    def applications(self) -> list[Application]:
        with self._open():
            return list(self._applications.values())

    def remember_policy(self, application_id: str, policy: bytes) -> None:
        with self._open():
            self._policies[application_id] = policy

    def policies(self) -> dict[str, bytes]:
        with self._open():
            return dict(self._policies)

    def forget(self, application_id: str) -> None:
        with self._open():
            self._applications.pop(application_id, None)
            self._policies.pop(application_id, None)
            self._room.leave(application_id)

    def lanes(self) -> list[Lane]:
        with self._lock:
            return self._ledger.lanes_with_events()

    def newest_row(self) -> int:
        return self._last_row

    def peek(
        self, lane: Lane, after: int, max_items: int, upto: int = LAST_ROW, max_bytes: int = ANY_SIZE
    ) -> list[StoredChunk]:
        chunks: list[StoredChunk] = []
        items = size = 0
        with self._open():
            for row in self._rows.values():
                if row.lane != lane or not after < row.row <= upto:
                    continue
                chunks.append(from_row(row))
                items, size = items + row.events, size + row.unpacked_bytes
                if items >= max_items or size >= max_bytes:
                    break
        return chunks

    def settle(self, settlements: Sequence[Settlement]) -> None:
        tell_expired(settlements)
        now, change = self._clock(), Change()
        with self._open():
            found = {one.row: one for one in settlements if one.row in self._rows}
            rows = [self._rows[number] for number in found]
            for row in rows:
                change.settle(found[row.row], row.lane, row.events, len(row.body))
            for row in rows:
                del self._rows[row.row]
                self._keep(row.lane, found[row.row].dead_letters, now)
            self._ledger.post(change)

    def _keep(self, lane: Lane, letters: Iterable[DeadLetter], now: float) -> None:
        for letter in letters:
            key = letter.session, letter.sequence
            if key not in self._dead_letters:
                self._letters += 1
                self._dead_letters[key] = KeptDeadLetter(letter, lane, now, self._letters)
                self._dead_letter_bytes += len(letter.payload)
        bound = self._dead_letter_bound
        while len(self._dead_letters) > bound.letters or self._dead_letter_bytes > bound.bytes:
            self._discard(next(iter(self._dead_letters)))

    def _discard(self, key: tuple[bytes, int]) -> bool:
        found = self._dead_letters.pop(key, None)
        self._dead_letter_bytes -= len(found.letter.payload) if found else 0
        return found is not None

    def usage(self) -> Usage:
        with self._open():
            oldest = next(iter(self._rows.values()), None)
            return Usage(
                events=self._ledger.events,
                bytes=self._ledger.bytes,
                max_bytes=self._room.max_bytes,
                oldest_age_s=max(0.0, self._clock() - oldest.appended_at) if oldest else None,
                dead_letters=len(self._dead_letters),
            )

    def limit(self, limits: Limits) -> None:
        self._room.max_bytes, self._room.quotas = limits.max_bytes, limits.quotas
        self._dead_letter_bound = Bound(self._dead_letter_bound.letters, limits.max_bytes // 10)

    def totals(self) -> Totals:
        with self._lock:
            return self._ledger.totals()

    def dead_letters(self, limit: int, after: int = 0) -> list[KeptDeadLetter]:
        with self._open():
            return list(islice((kept for kept in self._dead_letters.values() if kept.number > after), limit))

    def dead_letter(self, key: LetterKey) -> KeptDeadLetter | None:
        with self._open():
            return self._dead_letters.get(key)

    def retry_dead_letters(self, keys: Sequence[LetterKey]) -> int:
        now, change = self._clock(), Change()
        with self._open():
            letters = [self._dead_letters[key] for key in dict.fromkeys(keys) if key in self._dead_letters]
            rows = [to_row(chunk_of(each), row, now) for row, each in enumerate(letters, self._last_row + 1)]
            for row in rows:
                size = len(row.body)
                refusal = self._room.refusal(self._ledger, change, row.lane.application_id, size, None)
                if refusal is not None:
                    raise SpoolError(f"there is no room for {len(rows)} dead letters: {refusal}")
                change.hold(row.lane, row.events, size)
            self._rows.update({row.row: row for row in rows})
            change.withdraw(sum(map(self._discard, keys)), self._ledger.counters[DEAD_LETTERED])
            self._ledger.post(change)
            self._last_row += len(rows)
        return len(rows)

    def discard_dead_letters(self, keys: Sequence[LetterKey]) -> int:
        change = Change()
        with self._open():
            removed = sum(map(self._discard, keys))
            change.withdraw(removed, self._ledger.counters[DEAD_LETTERED])
            change.drop(DISCARDED, removed)
            self._ledger.post(change)
        return removed

    def look_after(self) -> bool:
        """There are no files."""
        return False

    def close(self) -> None:
        self._closed = True

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise SpoolError("the spool is closed")
            yield


class _Session(NamedTuple):
    last: int
    touched_at: float

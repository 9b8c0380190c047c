"""Damaged files that are still to be read: where the reading stands, and the next few rows.

Kept in the spool, and changed in the transaction that stores what was read: so a crash at any instant stores
nothing twice. What is read late is placed behind what came meanwhile.
"""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from moesifasgi.shipper.spool import Chunk
from moesifasgi.shipper.spool.ledger import DROPPED, TAKEN, WAITING, Change
from moesifasgi.shipper.spool.rows import ChunkRow, DamagedRow, from_row, seal, to_row
from moesifasgi.shipper.spool.schema import SpoolDamaged
from moesifasgi.shipper.spool.seals import REFILLS
from moesifasgi.shipper.spool.wreck import IntactRows, connect_to_damaged

STEP_BYTES = 1024 * 1024
"""Compressed bodies that are read in one step, beside at most one chunk more."""
STEP_S = 0.1
"""Longest time for the reading of one step: workers wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Refill:
    """One damaged file that is still to be read."""

    file: str
    after: int
    """The last row that was taken over, or given up."""
    events: int
    """How many items of it are still without a fate; 0 also where nobody knows."""


def first(connection: sqlite3.Connection) -> Refill | None:
    """The oldest of them. SpoolDamaged: nobody knows any more."""
    found = connection.execute("SELECT * FROM refills ORDER BY file LIMIT 1").fetchone()
    if found is None:
        return None
    if not REFILLS.vouched(found):
        raise SpoolDamaged("where to read on in a damaged file does not match its seal")
    return Refill(*found[:3])


def write(connection: sqlite3.Connection, refill: Refill) -> None:
    facts = (refill.file, refill.after, refill.events)
    connection.execute("INSERT OR REPLACE INTO refills VALUES (?, ?, ?, ?)", (*facts, seal(b"", *facts)))


def waiting(connection: sqlite3.Connection) -> int:
    """How many items are known to be in damaged files."""
    (events,) = connection.execute("SELECT total(events) FROM refills").fetchone()
    return int(events)


def read(path: Path, refill: Refill) -> tuple[list[ChunkRow], bool]:
    """The next rows, and whether there are no more behind them. sqlite3.Error: it cannot be read now."""
    if not path.exists():
        return [], True
    with closing(connect_to_damaged(path)) as source:
        rows, exhausted = _next_rows(source, refill.after, STEP_S, STEP_BYTES)
        if not rows and not exhausted:
            # A long stretch of damage: what is behind it is worth one long wait.
            return _next_rows(source, refill.after, float("inf"), 1)
        return rows, exhausted


def _next_rows(
    source: sqlite3.Connection, after: int, patience_s: float, max_bytes: int
) -> tuple[list[ChunkRow], bool]:
    found: list[ChunkRow] = []
    rows, size = IntactRows(source, after, time.monotonic() + patience_s), 0
    for row in rows:
        found.append(row)
        size += len(row.body)
        if size >= max_bytes:
            break
    return found, rows.exhausted


def moved(row: ChunkRow, number: int) -> ChunkRow | None:
    """The row in its new place; None where its items cannot be unpacked."""
    try:
        stored = from_row(row)
    except DamagedRow:
        return None
    chunk = Chunk(row.lane, stored.session, stored.sequences, stored.items)
    return to_row(chunk, number, stored.appended_at)


def take(refill: Refill, row: ChunkRow, events: int, change: Change) -> Refill:
    """A row was read, and ``events`` of it stored: those have waited, or nobody knew of them."""
    known = min(events, refill.events)
    change.counters[WAITING] -= known
    change.counters[TAKEN] += events - known
    return replace(refill, after=row.row, events=refill.events - known)


def end(connection: sqlite3.Connection, refill: Refill, change: Change) -> None:
    """All of the file was read. What is still without a fate is lost."""
    change.counters[WAITING] -= refill.events
    change.counters[f"{DROPPED}damaged"] += refill.events
    connection.execute("DELETE FROM refills WHERE file = ?", (refill.file,))

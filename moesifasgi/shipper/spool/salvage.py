"""A damaged file is set aside, never deleted at once, and what can still be read of it goes on.

How: a new file is built beside the damaged one under a name of its own, filled row by row in one transaction,
and takes the spool's name only when it is complete. A row is copied only if its seal holds. Killed at any
point in between, the next start finds no spool but the unfinished file, and begins again from the newest
file that was set aside.

Where there is no room for a second spool, or no time to read all of the first, the new file begins without
the rows that are left, and remembers where it has to read on (``refill``).

The first page of every spool holds the tables' definitions, and numbers that reading can do without. A
flipped bit there would cost everything, so it is replaced by the new file's; the damaged page is kept beside.
"""

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from moesifasgi.shipper.spool import aside, books, dead_letters, refill, schema, seals, tables
from moesifasgi.shipper.spool.ledger import TAKEN, WAITING, Change, Ledger
from moesifasgi.shipper.spool.refill import Refill
from moesifasgi.shipper.spool.wreck import IntactRows, connect_to_damaged

SALVAGE_S = 20.0
"""Longest time for reading a damaged file: a spool of 1 GiB takes about half of it."""
_LESS_AND_LESS: tuple[tuple[bool, tuple[seals.Sealed, ...]], ...] = (
    (True, seals.SEALED),
    (False, seals.SEALED),
    (False, seals.SMALL),
)
"""What is copied, until there is room for it: whether all rows, and which tables."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """What became of a damaged file. The counts are of items."""

    file: Path | None = None
    """Where it is now; None: there was none."""
    saved: int = 0
    lost: int | None = 0
    """None: not even the counters could be read."""
    waiting: int = 0
    """Still to be read of it."""


def unfinished(path: Path) -> Path:
    """Where the successor of a spool file is built."""
    return path.with_name(f"{path.name}.{aside.NEW}")


def replace(path: Path, now: float, limit_s: float = SALVAGE_S) -> Salvage:
    """Put a sound file in the place of ``path``, damaged or not there at all.

    What cannot be read within ``limit_s``, or finds no room, is read on from the damaged file later.
    Raises OSError or sqlite3.Error where the directory cannot be written; the damaged file is then kept.
    """
    new = unfinished(path)
    interrupted = new.exists() and not path.exists()
    _begin_anew(new)
    old = next(reversed(aside.set_aside_files(path)), None) if interrupted else None
    old = old or aside.free_name(path, now)
    aside.move(path, old)
    salvage = Salvage()
    if old.exists():
        salvage = _salvaged(old, new, time.monotonic() + limit_s)
    needed = _needed(new)
    new.rename(path)
    aside.sync_directory(path.parent)
    aside.remove_surplus(path, needed)
    return salvage


def _begin_anew(new: Path) -> None:
    """An empty successor. Once there, the file never goes away in between: it says that one was begun."""
    with suppress(FileNotFoundError):
        os.truncate(new, 0)
    for companion in aside.COMPANIONS[1:]:
        Path(f"{new}{companion}").unlink(missing_ok=True)
    schema.create(new)


def _needed(new: Path) -> set[str]:
    """The damaged files that are still to be read."""
    # One that may write: the other kind leaves an empty log behind.
    with closing(schema.connect(new, "full")) as connection:
        return {str(row[0]) for row in seals.rows_of(connection, seals.REFILLS)}


def _salvaged(old: Path, new: Path, deadline: float) -> Salvage:
    if not old.stat().st_size:
        return Salvage(old, lost=None)
    _mend_first_page(old, new)
    for rows, kept in _LESS_AND_LESS[:-1]:
        try:
            return _copy(old, new, deadline, kept, rows=rows)
        except sqlite3.Error as error:
            if not _is_full(error):
                raise
        _begin_anew(new)
    rows, kept = _LESS_AND_LESS[-1]
    return _copy(old, new, deadline, kept, rows=rows)


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _mend_first_page(old: Path, new: Path) -> None:
    kept = Path(f"{old}{aside.FIRST_PAGE}")
    template = bytearray(new.read_bytes()[: schema.PAGE_BYTES])
    # Two counters that differ make SQLite believe the file's size instead of the page count beside them.
    template[92:96] = b"\0" * 4
    with old.open("r+b") as file:
        if not kept.exists():
            page = file.read(schema.PAGE_BYTES)
            descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as copy:
                copy.write(page)
        file.seek(0)
        file.write(template)


def _copy(old: Path, new: Path, deadline: float, kept: Sequence[seals.Sealed], *, rows: bool) -> Salvage:
    """Copy what can be read until then, in one transaction."""
    with closing(connect_to_damaged(old)) as source, closing(schema.connect(new, "full")) as target:
        # Not by way of a log, which would need the same room once more.
        target.execute("PRAGMA journal_mode = MEMORY")
        target.execute("BEGIN IMMEDIATE")
        ledger, reader = Ledger(), IntactRows(source, 0, deadline)
        if rows:
            ledger.post(_copy_chunks(reader, target))
        for table in kept:
            _copy_table(source, target, table)
        salvage = _copy_counters(source, target, ledger, old, reader)
        target.execute("COMMIT")
        target.execute("PRAGMA journal_mode = WAL")
        return salvage


def _copy_chunks(reader: IntactRows, target: sqlite3.Connection) -> Change:
    held, numbers = Change(), books.LaneNumbers({})
    for row in reader:
        number = numbers.number(row.lane)
        if number is None:
            number = numbers.next_number()
            books.insert_lane(target, number, row.lane)
            numbers.add(row.lane, number)
        tables.insert_chunk(target, number, row)
        held.hold(row.lane, row.events, len(row.body))
    books.write(target, numbers, held)
    return held


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: seals.Sealed) -> None:
    """What its seal vouches for."""
    for row in filter(table.vouched, _readable(seals.rows_of(source, table))):
        marks = ", ".join("?" * len(row))
        target.execute(f"INSERT OR IGNORE INTO {table.name} VALUES ({marks})", row)


def _readable(rows: Iterator[seals.Row]) -> Iterator[seals.Row]:
    with suppress(sqlite3.Error):
        yield from rows


def _copy_counters(
    source: sqlite3.Connection, target: sqlite3.Connection, ledger: Ledger, old: Path, reader: IntactRows
) -> Salvage:
    """The counters, made to agree with what was saved."""
    found = {str(name): value for name, value in _readable(_counters(source)) if _is_count(value)}
    kept = {**dead_letters.recount(target), WAITING: refill.waiting(target)}
    saved = ledger.events
    ledger.post(Change(counters=Counter(found | kept)))
    missing, waits = max(0, ledger.missing()), 0
    if not reader.exhausted:
        refill.write(target, Refill(old.name, reader.after, missing))
        ledger.post(Change(counters=Counter({WAITING: missing})))
        missing, waits = 0, missing
    ledger.post(ledger.balance())
    books.write(target, books.LaneNumbers({}), Change(counters=ledger.counters))
    return Salvage(old, saved, missing if TAKEN in found else None, waits)


def _counters(source: sqlite3.Connection) -> Iterator[seals.Row]:
    yield from source.execute("SELECT name, value FROM counters")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value > 0

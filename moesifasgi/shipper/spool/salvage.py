"""A damaged file is set aside, never deleted at once, and what can still be read of it goes on.

How: a new file is built beside the damaged one under a name of its own, filled row by row in one transaction,
and takes the spool's name only when it is complete. A row is copied only if its seal holds. Killed at any
point in between, the next start finds no spool but the unfinished file, and begins again from the newest
file that was set aside.

The first page of every spool holds the tables' definitions, and numbers that reading can do without. A
flipped bit there would cost everything, so it is replaced by the new file's; the damaged page is kept beside.
"""

import itertools
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from moesifasgi.shipper.spool import Lane, books, dead_letters, schema, tables
from moesifasgi.shipper.spool.ledger import Change, Ledger
from moesifasgi.shipper.spool.rows import ChunkRow, is_intact

SALVAGE_S = 20.0
"""Longest time for reading a damaged file: a spool of 1 GiB takes about half of it."""
MAX_FAILURES = 1_000
"""Rows in a row that cannot be read, after which there is nothing more to expect."""
KEPT_FILES = 3
"""Damaged files that are kept; older ones are deleted, for they may be as large as the spool."""
_FIRST_PAGE = "-page1"
_COMPANIONS = ("", "-wal", "-shm", _FIRST_PAGE)


def unfinished(path: Path) -> Path:
    """Where the successor of a spool file is built."""
    return path.with_name(f"{path.name}.new")


def replace(path: Path, now: float, limit_s: float = SALVAGE_S) -> tuple[Path | None, int]:
    """Put a sound file in the place of ``path``, damaged or not there at all.

    What cannot be read within ``limit_s`` stays in the damaged file alone.
    Returns where the damaged file is now (None: there was none) and how many items were saved from it.
    Raises OSError or sqlite3.Error where the directory cannot be written; the damaged file is then kept.
    """
    new = unfinished(path)
    interrupted = new.exists() and not path.exists()
    _begin_anew(new)
    old = max(set_aside_files(path), default=None) if interrupted else None
    old = _set_aside(path, old or _free_name(path, now))
    salvaged = 0
    if old and old.stat().st_size:
        _mend_first_page(old, new)
        salvaged = _copy(old, new, time.monotonic() + limit_s)
    new.rename(path)
    _sync_directory(path.parent)
    for surplus in sorted(set_aside_files(path))[:-KEPT_FILES]:
        _remove(surplus)
    return old, salvaged


def _free_name(path: Path, now: float) -> Path:
    stem = f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    names = (path.with_name(f"{stem}-{count}" if count else stem) for count in itertools.count())
    return next(name for name in names if not name.exists())


def _set_aside(path: Path, target: Path) -> Path | None:
    """Move the file and its log; the file goes first, for without it the log is never taken for another's."""
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            Path(f"{path}{companion}").rename(f"{target}{companion}")
    return target if target.exists() else None


def set_aside_files(path: Path) -> list[Path]:
    """The damaged files that are kept beside a spool."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return [file for file in found if not file.name.endswith(_COMPANIONS[1:])]


def _remove(path: Path) -> None:
    for companion in _COMPANIONS:
        Path(f"{path}{companion}").unlink(missing_ok=True)


def _begin_anew(new: Path) -> None:
    """An empty successor. Once there, the file never goes away in between: it says that one was begun."""
    with suppress(FileNotFoundError):
        os.truncate(new, 0)
    for companion in _COMPANIONS[1:]:
        Path(f"{new}{companion}").unlink(missing_ok=True)
    schema.create(new)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mend_first_page(old: Path, new: Path) -> None:
    kept = Path(f"{old}{_FIRST_PAGE}")
    template = bytearray(new.read_bytes()[: schema.PAGE_BYTES])
    # Two counters that differ make SQLite believe the file's size instead of the page count beside them.
    template[92:96] = b"\0" * 4
    with old.open("r+b") as file:
        if not kept.exists():
            kept.touch(0o600)
            kept.write_bytes(file.read(schema.PAGE_BYTES))
        file.seek(0)
        file.write(template)


def _copy(old: Path, new: Path, deadline: float) -> int:
    """Copy what can be read until then, in one transaction; returns how many items."""
    with closing(schema.connect_to_read(old)) as source, closing(schema.connect(new, "full")) as target:
        # Tables that the file no longer has must not keep SQLite from reading the others.
        source.execute("PRAGMA writable_schema = ON")
        target.execute("BEGIN IMMEDIATE")
        ledger = Ledger()
        ledger.post(_copy_chunks(source, target, deadline))
        for table in ("sessions", "applications", "policies", "dead_letters"):
            _copy_table(source, target, table, deadline)
        _copy_counters(source, target, ledger)
        target.execute("COMMIT")
        return ledger.events


def _copy_chunks(source: sqlite3.Connection, target: sqlite3.Connection, deadline: float) -> Change:
    held, numbers = Change(), books.LaneNumbers({})
    for row in _intact_rows(source, deadline):
        number = numbers.number(row.lane)
        if number is None:
            number = numbers.next_number()
            books.insert_lane(target, number, row.lane)
            numbers.add(row.lane, number)
        tables.insert_chunk(target, number, row)
        held.hold(row.lane, row.events, len(row.body))
    books.write(target, numbers, held)
    return held


def _intact_rows(source: sqlite3.Connection, deadline: float) -> Iterator[ChunkRow]:
    """Every row that can be read and whose seal holds, once, in order."""
    names: dict[int, set[Lane]] = {}
    with suppress(sqlite3.Error):
        names = books.lane_names(source)
    after = failures = 0
    while failures < MAX_FAILURES and time.monotonic() < deadline:
        try:
            for candidates in tables.scan_chunks(source, names, after):
                row = next(filter(is_intact, candidates), None)
                if row and row.row > after:
                    after, failures = row.row, 0
                    yield row
                if time.monotonic() > deadline:
                    break
            return
        except sqlite3.Error:
            failures += 1
            after = _row_to_skip(source, names, after)


def _row_to_skip(source: sqlite3.Connection, lane_numbers: Iterable[int], after: int) -> int:
    try:
        return tables.next_row(source, lane_numbers, after) or after + 1
    except sqlite3.Error:
        return after + 1


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str, deadline: float) -> None:
    """A table as it is: whoever reads it later checks the seals."""
    for row in _readable(source, f"SELECT * FROM {table}"):
        marks = ", ".join("?" * len(row))
        target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
        if time.monotonic() > deadline:
            break


def _readable(source: sqlite3.Connection, query: str) -> Iterator[tuple[object, ...]]:
    with suppress(sqlite3.Error):
        yield from source.execute(query)


def _copy_counters(source: sqlite3.Connection, target: sqlite3.Connection, ledger: Ledger) -> None:
    """The counters, made to agree with what was saved."""
    rows = _readable(source, "SELECT name, value FROM counters")
    counters = {str(name): value for name, value in rows if isinstance(value, int) and value > 0}
    ledger.post(Change(counters=Counter(counters | dead_letters.recount(target))))
    ledger.post(ledger.balance())
    books.write(target, books.LaneNumbers({}), Change(counters=ledger.counters))

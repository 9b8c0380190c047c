"""What is wrong with a spool, found without changing it, also while a shipper uses it; and its repair.

Delivery reads a damaged spool as well as it can by itself (``salvage``). This is for a person who wants to
know first, or who got a spool from a broken disk.
"""

import itertools
import sqlite3
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from moesifasgi.shipper.spool import (
    Lane,
    SpoolError,
    aside,
    books,
    dead_letters,
    salvage,
    schema,
    seals,
    tables,
)
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.ledger import DEAD_LETTERS, WAITING, Ledger
from moesifasgi.shipper.spool.link import translated
from moesifasgi.shipper.spool.owner import OwnerLock, refuse_directory
from moesifasgi.shipper.spool.rows import DamagedRow, from_row

MAX_LINES = 20
"""Findings of one sort that are told one by one; the others are only counted."""
REPAIR_S = 86_400.0
"""A person may wait longer for a large spool than a shipper's start may."""

Progress = Callable[[int], None]
"""Called with how many rows were examined since the last call."""


@dataclass(slots=True)
class Findings:
    """What was found. ``faults`` empty: the spool is what was written."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Nothing of it is damage, but somebody may want to know."""
    rows: int = 0
    events: int = 0
    bytes: int = 0
    """Of the compressed bodies."""
    dead_letters: int = 0


def rows_of(directory: Path) -> int:
    """How many rows there are to examine; 0 where nothing can be read."""
    try:
        with translated(), closing(schema.connect_to_read(existing(directory))) as connection:
            (rows,) = connection.execute("SELECT count(*) FROM chunks").fetchone()
    except SpoolError:
        return 0
    return int(rows)


def examine(directory: Path, progress: Progress = lambda rows: None) -> Findings:
    """Look at every row. SpoolError: there is no spool, it cannot be read at all, or is a newer version's."""
    path = existing(directory)
    found = Findings(notes=list(surroundings(directory)))
    try:
        with translated(at_start=True):
            schema.check_version(path)
            with closing(schema.connect_to_read(path)) as connection:
                # One snapshot: a shipper that uses the spool goes on.
                connection.execute("BEGIN")
                _examine(connection, found, progress)
    except schema.SpoolDamaged as error:
        found.faults.append(str(error))
    return found


def repair(directory: Path) -> tuple[Path | None, int]:
    """Put what can be saved into a new file. Returns where the damaged one is now, and the items saved.

    Raises SpoolInUse while a shipper runs, and SpoolError where the spool is another user's.
    """
    path = existing(directory)
    refuse_directory(directory)
    lock = OwnerLock(directory)
    try:
        with translated():
            done = salvage.replace(path, time.time(), REPAIR_S)
    finally:
        lock.release()
    return done.file, done.saved


def existing(directory: Path) -> Path:
    """The spool's file. SpoolError: there is none."""
    path = directory / FILE_NAME
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        beside = "".join(f"; beside it: {file.name}" for file in aside.all_beside(path))
        raise SpoolError(f"no spool in {directory}: {error.strerror}{beside}") from error
    if not stat.S_ISREG(mode):
        raise SpoolError(f"expected a file at {path}")
    return path


def surroundings(directory: Path) -> Iterator[str]:
    """What is no damage, but somebody may want to know of a spool's files."""
    path = directory / FILE_NAME
    for looked_at, right in ((directory, 0o700), (path, 0o600)):
        mode = stat.S_IMODE(looked_at.stat().st_mode)
        if mode & ~right:
            yield f"{looked_at} has mode {mode:04o}, so others can reach it; expected {right:04o}"
    yield from (f"a damaged file was set aside: {file}" for file in aside.set_aside_files(path))
    yield from (f"begun by a shipper and not finished: {file}" for file in aside.unfinished_files(path))


def _examine(connection: sqlite3.Connection, found: Findings, progress: Progress) -> None:
    checked = connection.execute(f"PRAGMA integrity_check({MAX_LINES})")
    found.faults += [line for (line,) in checked if line != "ok"]
    names = books.lane_names(connection)
    held, damaged = _examine_rows(connection, names, found, progress)
    found.faults += _some("row {} does not match its seal", damaged)
    ledger, _ = books.load(connection)
    found.faults += list(_differences(ledger, held))
    found.dead_letters = _examine_dead_letters(connection, ledger, found)
    for table in seals.SEALED:
        found.faults += _some("{} does not match its seal", seals.unsealed(connection, table))
    if waiting := ledger.counters[WAITING]:
        found.notes.append(f"{waiting} events are still to be read of damaged files: a shipper does it")


def _examine_rows(
    connection: sqlite3.Connection, names: dict[int, set[Lane]], found: Findings, progress: Progress
) -> tuple[Counter[Lane], list[int]]:
    """How many events each lane has in sound rows, and the numbers of the others."""
    held: Counter[Lane] = Counter()
    damaged: list[int] = []
    for candidates in tables.scan_chunks(connection, names, after=-1):
        found.rows += 1
        progress(1)
        for row in candidates:
            try:
                chunk = from_row(row)
            except DamagedRow:
                damaged.append(row.row)
                continue
            held[row.lane] += len(chunk.items)
            found.events += len(chunk.items)
            found.bytes += len(row.body)
    return held, damaged


def _differences(ledger: Ledger, held: Counter[Lane]) -> Iterator[str]:
    """Where the counters and the rows disagree."""
    for lane, holding in ledger.lanes.items():
        if holding.events != held[lane]:
            label = f"{lane.stream} of …{lane.application_id[-4:]}"
            yield f"{label}: {holding.events} events are counted, {held[lane]} are there"
    if ledger.missing():
        yield f"{ledger.missing()} events have no fate in the counters"


def _examine_dead_letters(connection: sqlite3.Connection, ledger: Ledger, found: Findings) -> int:
    intact = len(dead_letters.select(connection, dead_letters.MAX_DEAD_LETTERS))
    counted = ledger.counters[DEAD_LETTERS]
    if intact != counted:
        found.faults.append(f"{counted} dead letters are counted, {intact} can be read")
    return intact


def _some(text: str, places: list[int] | list[str]) -> list[str]:
    lines = [text.format(place) for place in itertools.islice(places, MAX_LINES)]
    if len(places) > MAX_LINES:
        lines.append(f"… and {len(places) - MAX_LINES} more")
    return lines

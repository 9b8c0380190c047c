"""Reading a damaged file: each row that it still gives and its seal vouches for."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from moesifasgi.shipper.spool import Lane, books, schema, tables
from moesifasgi.shipper.spool.rows import ChunkRow, is_intact

MAX_FAILURES = 1_000
"""Rows in a row that cannot be read, after which there is nothing more to expect."""


def connect_to_damaged(file: Path) -> sqlite3.Connection:
    """A connection that reads what it can."""
    source = schema.connect_to_read(file)
    # Tables that the file no longer has must not keep SQLite from reading the others.
    source.execute("PRAGMA writable_schema = ON")
    return source


class IntactRows:
    """Every row of a damaged file that can be read and whose seal holds, once, in order."""

    __slots__ = ("_deadline", "_names", "_source", "after", "exhausted")

    def __init__(self, source: sqlite3.Connection, after: int, deadline: float) -> None:
        self._source = source
        self._deadline = deadline
        self._names: dict[int, set[Lane]] = {}
        with suppress(sqlite3.Error):
            self._names = books.lane_names(source)
        self.after = after
        """The last row that was read, or given up."""
        self.exhausted = False
        """There is nothing behind it. Otherwise it was too late to look."""

    def __iter__(self) -> Iterator[ChunkRow]:
        failures = 0
        while failures < MAX_FAILURES:
            if time.monotonic() >= self._deadline:
                return
            try:
                for candidates in tables.scan_chunks(self._source, self._names, self.after):
                    row = next(filter(is_intact, candidates), None)
                    if row and row.row > self.after:
                        self.after, failures = row.row, 0
                        yield row
                    if time.monotonic() >= self._deadline:
                        return
                break
            except sqlite3.Error:
                failures += 1
                self.after = _row_to_skip(self._source, self._names, self.after)
        self.exhausted = True


def _row_to_skip(source: sqlite3.Connection, lane_numbers: Iterable[int], after: int) -> int:
    try:
        return tables.next_row(source, lane_numbers, after) or after + 1
    except sqlite3.Error:
        return after + 1

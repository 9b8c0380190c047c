"""Rows are read back, and what of them is damaged is found, removed and counted.

A damaged row costs itself. If the books say that there are rows where none is found, it is the file that is
damaged.
"""

from collections.abc import Iterable
from dataclasses import replace
from sqlite3 import Connection

from moesifasgi.shipper.spool import LAST_ROW, Lane, StoredChunk, books, tables
from moesifasgi.shipper.spool.database import Database
from moesifasgi.shipper.spool.ledger import DROPPED
from moesifasgi.shipper.spool.rows import ChunkRow, DamagedRow, from_row
from moesifasgi.shipper.spool.schema import SpoolDamaged
from moesifasgi.shipper.spool.told import tell_damaged

CLOCK_NOT_SET = 1_577_836_800.0
"""2020-01-01. There were no spools then: a machine without a clock of its own was not told the time yet."""


class Reading:
    """For the delivery thread. ``opened_at``: what time it was when this spool was opened."""

    __slots__ = ("_database", "_opened_at", "damaged")

    def __init__(self, database: Database, opened_at: float) -> None:
        self.damaged = 0
        """Items that were in rows which cannot be read."""
        self._database = database
        self._opened_at = opened_at

    def peek(self, lane: Lane, after: int, max_items: int, upto: int, max_bytes: int) -> list[StoredChunk]:
        """See ``Spool.peek``. Raises SpoolDamaged."""
        while True:
            rows = self._read(lane, after, max_items, upto, max_bytes)
            sound, damaged = self._sorted_out(rows)
            if damaged:
                self._drop_damaged(damaged)
            if sound or not rows:
                return sound
            after = rows[-1].row

    def dated(self, appended_at: float) -> float:
        """When a row came: not before this shipper, if it says that a clock was not set yet."""
        return self._opened_at if appended_at < CLOCK_NOT_SET <= self._opened_at else appended_at

    def _read(self, lane: Lane, after: int, max_items: int, upto: int, max_bytes: int) -> list[ChunkRow]:
        with self._database.delivery.turn() as connection:
            number = self._database.numbers.number(lane)
            if number is None:
                return []
            rows = tables.select_chunks(connection, number, lane, after, max_items, upto, max_bytes)
            if not rows and after == 0 and upto == LAST_ROW:
                self._check_empty(connection, number, lane)
        return rows

    def _check_empty(self, connection: Connection, number: int, lane: Lane) -> None:
        """Raises SpoolDamaged if the books say that there are rows where none was found."""
        with self._database.settled_books() as ledger:
            held = ledger.holding(lane).events
            if held and not tables.select_chunks(connection, number, lane, after=0, max_items=1):
                raise SpoolDamaged(f"{held} items cannot be found")

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
            dated = self.dated(chunk.appended_at)
            sound.append(chunk if dated == chunk.appended_at else replace(chunk, appended_at=dated))
        return sound, damaged

    def _drop_damaged(self, rows: list[int]) -> None:
        """Remove rows that say nothing reliable, not even whose they were: what is left is counted."""
        with self._database.transaction(self._database.delivery) as running:
            for row in rows:
                tables.delete_chunk(running.connection, row)
            for lane, held in self._database.ledger.lanes.items():
                left = books.counted(running.connection, running.lane_number(lane))
                running.change.hold(lane, left.events - held.events, left.bytes - held.bytes)
                running.change.drop("damaged", held.events - left.events)
            lost = running.change.counters[DROPPED + "damaged"]
        self.damaged += lost
        tell_damaged(lost)

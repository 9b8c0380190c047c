"""What is left to read of damaged files is taken into the spool, piece by piece, as there is room for it."""

import sqlite3
import time
from collections.abc import Callable, Sequence

from moesifasgi.quiet import say
from moesifasgi.shipper.spool import refill
from moesifasgi.shipper.spool.database import Database, Transaction
from moesifasgi.shipper.spool.ledger import Change
from moesifasgi.shipper.spool.refill import Refill
from moesifasgi.shipper.spool.rows import ChunkRow

REST_S = 2.0
"""After a damaged file could not be read on, or found no room."""


class Refilling:
    """For the intake thread: it gives out numbers of rows."""

    __slots__ = ("_database", "_refusal", "_rest_until", "_store")

    def __init__(
        self,
        database: Database,
        refusal: Callable[[Change, ChunkRow], str | None],
        store: Callable[[Transaction, ChunkRow], None],
    ) -> None:
        self._database = database
        self._refusal = refusal
        self._store = store
        self._rest_until = 0.0

    def step(self) -> bool:
        """Take over a few rows, if any wait; True: some were stored."""
        if time.monotonic() < self._rest_until:
            return False
        with self._database.intake.turn() as connection:
            unread = refill.first(connection)
        return unread is not None and self._read_on(unread)

    def _read_on(self, unread: Refill) -> bool:
        self._rest_until = time.monotonic() + REST_S
        try:
            rows, exhausted = refill.read(self._database.path.with_name(unread.file), unread)
        except (sqlite3.Error, OSError) as error:
            say("refill", "%s cannot be read now: %s", unread.file, error)
            return False
        if rows and self._refusal(Change(), rows[0]):
            return False
        with self._database.transaction(self._database.intake) as running:
            stored = self._take_over(running, unread, rows, exhausted)
        self._database.last_row += len(rows)
        self._rest_until = 0.0
        return stored

    def _take_over(
        self, running: Transaction, unread: Refill, rows: Sequence[ChunkRow], exhausted: bool
    ) -> bool:
        for number, row in enumerate(rows, self._database.last_row + 1):
            moved = refill.moved(row, number)
            if moved and self._refusal(running.change, moved):
                exhausted = False
                break
            if moved:
                self._store(running, moved)
            unread = refill.take(unread, row, moved.events if moved else 0, running.change)
        if exhausted:
            refill.end(running.connection, unread, running.change)
        else:
            refill.write(running.connection, unread)
        return bool(running.change.lanes)

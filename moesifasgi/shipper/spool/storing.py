"""Rows go into the spool, or are refused with the reason that they are counted under."""

from collections.abc import Callable

from moesifasgi.shipper.spool import Limits, tables
from moesifasgi.shipper.spool.database import Database, Transaction
from moesifasgi.shipper.spool.ledger import TAKEN, Change
from moesifasgi.shipper.spool.room import DiskGauge, Room
from moesifasgi.shipper.spool.rows import ChunkRow


class Storing:
    """One row at a time, within a transaction: what it adds counts for the next."""

    __slots__ = ("_clock", "_database", "_disk", "_min_free_bytes", "room")

    def __init__(
        self,
        database: Database,
        room: Room,
        disk: DiskGauge,
        min_free_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        """``min_free_bytes``: what the file system keeps."""
        self.room = room
        self._database = database
        self._disk = disk
        self._min_free_bytes = min_free_bytes
        self._clock = clock

    def limit(self, limits: Limits) -> None:
        """These hold from now on."""
        self.room.max_bytes, self.room.quotas = limits.max_bytes, limits.quotas
        self._min_free_bytes = limits.min_free_bytes

    def refusal(self, change: Change, row: ChunkRow) -> str | None:
        """Why there is no room for the row; None if there is."""
        spare_bytes = self._disk.free_bytes(self._clock()) - self._min_free_bytes
        ledger, application_id = self._database.ledger, row.lane.application_id
        return self.room.refusal(ledger, change, application_id, len(row.body), spare_bytes)

    def store(self, running: Transaction, row: ChunkRow) -> None:
        """It is held from now on, room or not."""
        size = len(row.body)
        tables.insert_chunk(running.connection, running.lane_number(row.lane), row)
        running.change.hold(row.lane, row.events, size)
        self._disk.spend(size)

    def take(self, running: Transaction, row: ChunkRow) -> int:
        """Store a new row, or count its items as dropped; returns how many were."""
        running.change.counters[TAKEN] += row.events
        refusal = self.refusal(running.change, row)
        if refusal is not None:
            running.change.drop(refusal, row.events)
            return row.events
        self.store(running, row)
        return 0

"""The home of a shipper: its spool, which outlives it, and what was ever seen in it."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lab.stepped import id_of
from moesifasgi.shipper.spool import Spool
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool

SPOOL_BYTES = 24_000


class Home:
    """``root``: where spools may lie; None: in memory. ``wall``: the clock that dates their chunks."""

    def __init__(self, root: Path | None, wall: Callable[[], float]) -> None:
        self.ids: set[str] = set()
        """Of all events that were ever in it."""
        self._root = root
        self._wall = wall
        self._directory: Path | None = None
        self._last_row = 0
        self._stored: set[tuple[bytes, int]] = set()
        self.spool: Spool = self._opened()

    @property
    def difference(self) -> int:
        """What the shipper's identity leaves unexplained."""
        return (
            self.spool.totals().taken
            - self.spool.totals().delivered
            - self.counted
            - self.spool.usage().events
        )

    @property
    def counted(self) -> int:
        """Events whose end its books have, beside delivery."""
        totals = self.spool.totals()
        return totals.dead_lettered + sum(totals.dropped.values())

    def outlive_its_shipper(self) -> None:
        """Files are as they were when it was killed; a spool in memory plays the part of such files."""
        if (before := self._directory) is None:
            return
        killed = self.spool
        self.spool = self._opened(before)
        killed.close()
        shutil.rmtree(before)
        assert isinstance(self.spool, SqliteSpool)
        # The numbers of rows that had gone by then are given out again.
        self._last_row = min(self._last_row, self.spool.database.last_row)

    def close(self) -> None:
        self.spool.close()
        if self._directory is not None:
            shutil.rmtree(self._directory)

    def look(self) -> None:
        """See what is new; nothing may be there that was there before."""
        newest = self._last_row
        for lane in self.spool.lanes():
            for chunk in self.spool.peek(lane, self._last_row, 1 << 30):
                stored = {(chunk.session, sequence) for sequence in chunk.sequences}
                ids = {id_of(item.payload) for item in chunk.items}
                assert not stored & self._stored, "stored twice"
                assert not ids & self.ids, "stored twice, under two sequences"
                self._stored |= stored
                self.ids |= ids
                newest = max(newest, chunk.row)
        self._last_row = newest

    def damage(self, place: int) -> bool:
        """A byte too many in one row of the file; False if there is no row, or no file."""
        if self._directory is None:
            return False
        with closing(sqlite3.connect(self._directory / FILE_NAME, isolation_level=None)) as stranger:
            rows = [row for (row,) in stranger.execute("SELECT row FROM chunks ORDER BY row")]
            change = "UPDATE chunks SET body = body || x'00' WHERE row = ?"
            stranger.executemany(change, [(rows[place % len(rows)],)] if rows else [])
        return bool(rows)

    def _opened(self, before: Path | None = None) -> Spool:
        if self._root is None:
            return MemorySpool(SPOOL_BYTES, clock=self._wall)
        self._directory = Path(tempfile.mkdtemp(prefix="spool-", dir=self._root))
        for file in (FILE_NAME, f"{FILE_NAME}-wal") if before is not None else ():
            shutil.copy(before / file, self._directory)  # type: ignore[operator]
        return open_spool(
            self._directory, max_bytes=SPOOL_BYTES, min_free_bytes=0, durability="normal", clock=self._wall
        )


def memory_directory() -> Path:
    """A new directory in memory where there is one: nothing here is about the power."""
    return Path(tempfile.mkdtemp(prefix="m-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

"""A spool's files were deleted, or replaced, while they are open: what is in them is put into a new file.

The system keeps deleted files for those that have them open, so nothing is lost yet; but whoever opens the
spool next would not find it. Killed before the copy is complete, it is thrown away; after that, the next
start puts it in its place.
"""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from moesifasgi.shipper.spool import aside, schema

Files = tuple[tuple[int, int] | None, ...]
"""Which files these are (device, inode); None: there is none."""
_PAGES_A_STEP = -1
"""All at once: nobody else may write meanwhile."""


def files_of(path: Path) -> Files:
    """The spool file and its log, as a name finds them. OSError: they cannot be looked at."""
    return tuple(_identity(Path(f"{path}{companion}")) for companion in ("", aside.LOG))


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """All that an open connection to ``path`` sees, in a file beside it. Raises sqlite3.Error, OSError."""
    part = _part(path)
    forget_unfinished(path)
    try:
        schema.touch(part)
        with closing(sqlite3.connect(part, isolation_level=None)) as target:
            connection.backup(target, pages=_PAGES_A_STEP)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(_rescued(path))
    except BaseException:
        forget_unfinished(path)  # The room that it takes may be the last there is.
        raise
    aside.sync_directory(path.parent)


def forget_unfinished(path: Path) -> None:
    """Delete a copy that was not completed."""
    with suppress(FileNotFoundError):
        aside.remove(_part(path))


def finish(path: Path, now: float) -> Path | None:
    """Put a complete copy in the place of ``path``. Returns where what stood there is kept, if anything did.

    Nothing here may have ``path`` open.
    """
    replaced = aside.free_name(path, now)
    aside.move(path, replaced)
    _rescued(path).rename(path)
    aside.sync_directory(path.parent)
    if replaced.exists():
        return replaced
    aside.remove(replaced)  # A log without its file says nothing.
    return None


def is_complete(path: Path) -> bool:
    """There is a copy that only lacks its name."""
    return _rescued(path).exists()


def events_in(path: Path) -> int:
    """How many items a sound spool file holds."""
    with closing(schema.connect_to_read(path)) as connection:
        return int(connection.execute("SELECT total(events) FROM lanes").fetchone()[0])


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.{aside.PART}")


def _rescued(path: Path) -> Path:
    return path.with_name(f"{path.name}.{aside.RESCUED}")


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        found = path.lstat()
        return found.st_dev, found.st_ino
    return None

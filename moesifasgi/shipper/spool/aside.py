"""Files that are set aside beside a spool, with their companions: how they are named, found and let go.

Their names count up, so that the newest is known whatever a clock said meanwhile.
"""

import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

KEPT_FILES = 3
"""Damaged files that are kept; older ones are deleted, for they may be as large as the spool."""
LOG, INDEX, FIRST_PAGE = "-wal", "-shm", "-page1"
COMPANIONS = ("", LOG, INDEX, FIRST_PAGE)
NEW, RESCUED, PART = "new", "rescued", "part"
"""Suffixes of files that are to be the spool."""
_MARK = "damaged"
_NUMBER = re.compile(rf"\.{_MARK}-(\d+)-")


def free_name(path: Path, now: float) -> Path:
    """The name of the next file that is set aside, at ``now`` by the wall clock."""
    number = max(map(_number, set_aside_files(path)), default=0) + 1
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return path.with_name(f"{path.name}.{_MARK}-{number:04}-{stamp}")


def set_aside_files(path: Path) -> list[Path]:
    """The damaged files that are kept beside a spool, oldest first."""
    found = path.parent.glob(f"{path.name}.{_MARK}-*")
    files = [file for file in found if not file.name.endswith(COMPANIONS[1:])]
    return sorted(files, key=lambda file: (_number(file), file.name))


def unfinished_files(path: Path) -> list[Path]:
    """Successors of a spool that lack their name: of a salvage, of a rescue, and the beginning of that."""
    names = (path.with_name(f"{path.name}.{suffix}") for suffix in (NEW, RESCUED, PART))
    return [name for name in names if name.exists()]


def all_beside(path: Path) -> list[Path]:
    return [*set_aside_files(path), *unfinished_files(path)]


def move(path: Path, target: Path) -> None:
    """Move a file and its log; the file goes first, for without it the log is never taken for another's."""
    for companion in COMPANIONS:
        with suppress(FileNotFoundError):
            Path(f"{path}{companion}").rename(f"{target}{companion}")


def remove(path: Path) -> None:
    for companion in COMPANIONS:
        Path(f"{path}{companion}").unlink(missing_ok=True)


def remove_surplus(path: Path, needed: Collection[str]) -> None:
    """Of the damaged files only the newest are kept, and those of these names."""
    for surplus in set_aside_files(path)[:-KEPT_FILES]:
        if surplus.name not in needed:
            remove(surplus)


def sync_directory(directory: Path) -> None:
    """Renames are on the disk afterwards."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(file: Path) -> int:
    """0 for a name from before they were numbered."""
    found = _NUMBER.search(file.name)
    return int(found[1]) if found else 0

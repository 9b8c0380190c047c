"""What a disk may hold after the power failed, from what a spool's files were before and after each step.

SQLite's word (WAL, synchronous FULL): what a commit wrote is on the disk when it returns. Of what it writes
before that, any beginning may be there, its last frame torn. A checkpoint writes to the file only what the
synced log has, so the file may be any mixture of its old and new pages while the log is whole.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.schema import PAGE_BYTES

LOG_NAME = f"{FILE_NAME}-wal"
LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Disk:
    """A spool's file and its log."""

    file: bytes
    log: bytes

    @classmethod
    def of(cls, directory: Path) -> "Disk":
        return cls((directory / FILE_NAME).read_bytes(), (directory / LOG_NAME).read_bytes())

    def put(self, directory: Path) -> None:
        """Lay it down in a new directory."""
        directory.mkdir()
        (directory / FILE_NAME).write_bytes(self.file)
        (directory / LOG_NAME).write_bytes(self.log)


def page_bytes_of(log: bytes) -> int:
    """The page size that a log's header tells."""
    (found,) = struct.unpack_from(">I", log, 8)
    return int(found)


def after_power_loss(before: Disk, after: Disk, rng: random.Random) -> Iterator[Disk]:
    """Disks that the power may leave between two moments in which all was synced."""
    start = _first_difference(before.log, after.log)
    if start is not None:
        boundaries = [at for at in range(LOG_HEADER_BYTES, len(after.log) + 1, FRAME_BYTES) if at > start]
        for boundary in boundaries:
            yield Disk(before.file, _overwritten(before.log, after.log, boundary))
            size = rng.randrange(max(start, boundary - FRAME_BYTES), boundary)
            yield Disk(before.file, _torn(before.log, after.log, size, boundary, rng))
            if after.log[boundary:] == before.log[boundary:]:
                break
    if before.file != after.file:
        yield Disk(_mixed(before.file, after.file, rng), after.log)


def _overwritten(old: bytes, new: bytes, size: int) -> bytes:
    """The log with only ``size`` bytes of the new one written over it."""
    return new[:size] + old[size:]


def _torn(old: bytes, new: bytes, size: int, boundary: int, rng: random.Random) -> bytes:
    """As ``_overwritten``, but the last frame, up to ``boundary``, ends as it was, or in zeros."""
    if rng.random() < 0.5:
        return _overwritten(old, new, size)
    return new[:size] + bytes(boundary - size) + old[boundary:]


def _mixed(old: bytes, new: bytes, rng: random.Random) -> bytes:
    """Each page old or new."""
    pages = []
    for start in range(0, len(new), PAGE_BYTES):
        source = old if rng.random() < 0.5 and start < len(old) else new
        pages.append(source[start : start + PAGE_BYTES])
    return b"".join(pages)


def _first_difference(one: bytes, other: bytes) -> int | None:
    """Where two logs differ first, None if nowhere."""
    if one == other:
        return None
    common = min(len(one), len(other))
    return next((at for at in range(common) if one[at] != other[at]), common)

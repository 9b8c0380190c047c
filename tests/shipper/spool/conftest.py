"""A spool on disk, and chunks to put into it."""

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moesifasgi.shipper.spool import Chunk, Item, Lane
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool

LANES = (Lane("application-one", "events"), Lane("application-two", "users"))
SESSION = b"s" * 16

Appender = Callable[..., None]
Opener = Callable[..., SqliteSpool]


def item_of(sequence: int, size: int = 100) -> Item:
    """What stands at a sequence, the same in every test and process."""
    return Item(sequence % 6, random.Random(sequence).randbytes(size))


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: hundreds of files are made, and no power will fail."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


@pytest.fixture
def lanes() -> tuple[Lane, ...]:
    return LANES


@pytest.fixture
def append() -> Appender:
    """Append (spool, first, count): ``count`` items from sequence ``first`` on, odd and even in two lanes."""

    def append(spool: SqliteSpool, first: int, count: int = 3, size: int = 100) -> None:
        sequences = tuple(range(first, first + count))
        items = tuple(item_of(sequence, size) for sequence in sequences)
        chunk = Chunk(LANES[first % 2], SESSION, sequences, items)
        spool.append([chunk], {SESSION: sequences[-1]})

    return append


@pytest.fixture
def contents() -> Callable[[SqliteSpool], list[int]]:
    """All sequences in a spool, ascending, after the check that each item is what was appended there."""

    def contents(spool: SqliteSpool, size: int = 100) -> list[int]:
        found = []
        for number, lane in enumerate(LANES):
            for chunk in spool.peek(lane, 0, 1_000_000):
                assert chunk.session == SESSION
                assert chunk.items == tuple(item_of(sequence, size) for sequence in chunk.sequences)
                assert number == chunk.sequences[0] % 2
                found += chunk.sequences
        assert set(spool.lanes()) <= set(LANES)
        return sorted(found)

    return contents


@pytest.fixture
def conserved() -> Callable[[SqliteSpool], None]:
    def check(spool: SqliteSpool) -> None:
        totals = spool.totals()
        fates = totals.delivered + totals.dead_lettered + sum(totals.dropped.values())
        assert totals.taken == fates + spool.usage().events

    return check


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    spools: list[SqliteSpool] = []

    def opener(directory: Path = tmp_path, **settings: object) -> SqliteSpool:
        chosen = {"max_bytes": 50_000_000, "min_free_bytes": 0, "durability": "normal", **settings}
        spools.append(open_spool(directory, **chosen))
        return spools[-1]

    yield opener
    for spool in spools:
        spool.close()

"""T20: the power fails at any moment. What was acknowledged with durability full is there, once."""

import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.counts import count_of, seed_of
from lab.homes import memory_directory
from lab.power import LOG_NAME, Disk, after_power_loss, page_bytes_of

from moesifasgi.shipper.spool import Chunk, DeadLetter, Item, Lane, Settlement
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.schema import PAGE_BYTES
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
from moesifasgi.wire.application import Application

HISTORIES = 5
STEPS = 14
RECOVERS_IN_S = 2.0
FULL = 2
"""What ``PRAGMA synchronous`` says for FULL."""
LANES = [Lane("application-one", "events"), Lane("application-two", "users")]
SESSIONS = [b"a" * 16, b"b" * 16]
pytestmark = pytest.mark.timeout(1_800)
"""For the campaign's counts; here it takes seconds."""


@pytest.fixture
def root() -> Iterator[Path]:
    """In memory: an fsync costs nothing there, and the test decides itself what a disk would have."""
    made = memory_directory()
    yield made
    shutil.rmtree(made)


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short history has several, and the log begins anew after each."""
    monkeypatch.setattr("moesifasgi.shipper.spool.schema._CHECKPOINT_PAGES", 24)


def opened(directory: Path) -> SqliteSpool:
    return open_spool(directory, max_bytes=1 << 30, min_free_bytes=0, durability="full", clock=lambda: 0.0)


def contents(spool: SqliteSpool) -> object:
    """All that a spool answers for."""
    chunks = [chunk for lane in LANES for chunk in spool.peek(lane, 0, 1 << 30)]
    sessions = [spool.last_sequence(session) for session in SESSIONS]
    letters = [kept.letter.sequence for kept in spool.dead_letters(1_000)]
    return (
        chunks,
        sessions,
        letters,
        spool.totals(),
        spool.usage(),
        spool.applications(),
        sorted(spool.lanes()),
    )


class History:
    """Random appends and fates. Each step is one transaction: all of it is acknowledged when it returns."""

    def __init__(self, spool: SqliteSpool, rng: random.Random) -> None:
        self._spool = spool
        self._rng = rng
        self._last = dict.fromkeys(SESSIONS, 0)

    def step(self) -> None:
        chosen = self._rng.choices([self.append, self.settle, self.remember, self.end], [6, 4, 1, 1])[0]
        chosen()

    def append(self) -> None:
        session, chunks = self._rng.choice(SESSIONS), []
        for _ in range(self._rng.randint(1, 3)):
            first, count = self._last[session] + 1, self._rng.randint(1, 5)
            items = tuple(
                Item(1, self._rng.randbytes(self._rng.choice([10, 900, 9_000]))) for _ in range(count)
            )
            chunks.append(Chunk(self._rng.choice(LANES), session, tuple(range(first, first + count)), items))
            self._last[session] += count
        self._spool.append(chunks, {session: self._last[session]}, duplicates=self._rng.randint(0, 2))

    def settle(self) -> None:
        rows = [chunk for lane in LANES for chunk in self._spool.peek(lane, 0, 20)]
        settlements = []
        for chunk in self._rng.sample(rows, min(len(rows), 3)):
            letter = DeadLetter(
                chunk.session, chunk.sequences[0], 1, chunk.items[0].payload, "400", "refused"
            )
            letters = (letter,) if self._rng.random() < 0.3 else ()
            settlements.append(Settlement(chunk.row, len(chunk.items) - len(letters), letters))
        self._spool.settle(settlements)

    def remember(self) -> None:
        self._spool.remember(Application("application-one", batch_size=self._rng.randint(1, 100)))

    def end(self) -> None:
        session = self._rng.choice(SESSIONS)
        self._spool.end_session(session)


def test_wherever_the_power_fails_what_was_acknowledged_is_there_once_and_the_rest_whole_or_not_at_all(
    root: Path,
) -> None:
    disks = 0
    for number in range(count_of(HISTORIES)):
        rng = random.Random(f"{seed_of()}-{number}")
        spool = opened(root / "spool")
        history = History(spool, rng)
        for link in (spool.database.intake, spool.database.delivery):
            with link.turn() as connection:
                assert connection.execute("PRAGMA synchronous").fetchone() == (FULL,)
        before, acknowledged = Disk.of(root / "spool"), contents(spool)
        for _ in range(STEPS):
            history.step()
            after, new = Disk.of(root / "spool"), contents(spool)
            for disk in after_power_loss(before, after, rng):
                assert survivor(root, disk) in (acknowledged, new)
                disks += 1
            assert survivor(root, after) == new, "acknowledged, synced, and gone"
            before, acknowledged = after, new
        spool.close()
        shutil.rmtree(root / "spool")
    assert disks > 40 * count_of(HISTORIES)


def survivor(root: Path, disk: Disk) -> object:
    """What the next start finds on such a disk; it needs no salvage, and not long."""
    directory = root / "after"
    disk.put(directory)
    began = time.monotonic()
    spool = opened(directory)
    assert time.monotonic() - began < RECOVERS_IN_S
    try:
        assert not spool.usage().mishaps, "taken for damage"
        return contents(spool)
    finally:
        spool.close()
        shutil.rmtree(directory)


def test_the_log_is_laid_out_as_these_tests_believe(root: Path) -> None:
    spool = opened(root / "spool")
    spool.append([Chunk(LANES[0], SESSIONS[0], (1,), (Item(1, b"x" * 20_000),))], {SESSIONS[0]: 1})
    assert page_bytes_of((root / "spool" / LOG_NAME).read_bytes()) == PAGE_BYTES
    with sqlite3.connect(root / "spool" / FILE_NAME) as other:
        assert other.execute("SELECT count(*) FROM chunks").fetchone() == (1,)
    other.close()
    spool.close()

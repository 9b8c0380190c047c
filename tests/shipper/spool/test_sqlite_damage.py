"""Damaged files: detected, set aside, and what can be read goes on. Small counts of T8."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from lab.limits import no_more_descriptors

from moesifasgi.shipper.spool import Lane, Mishap, Settlement, salvage
from moesifasgi.shipper.spool.fsck import examine
from moesifasgi.shipper.spool.sqlite import SqliteSpool

Opener = Callable[..., SqliteSpool]
Appender = Callable[..., None]
Contents = Callable[[SqliteSpool], list[int]]
Check = Callable[[SqliteSpool], None]

FILE = "spool.sqlite3"
CHUNKS = 12
EVERY = list(range(1, 3 * CHUNKS + 1))


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def filled(quick_path: Path, opened: Opener, append: Appender) -> Path:
    """A directory with a spool that was closed in good order."""
    directory = quick_path / "filled"
    spool = opened(directory)
    for number in range(CHUNKS):
        append(spool, 3 * number + 1)
    spool.close()
    return directory


@pytest.fixture
def torn(quick_path: Path, opened: Opener, append: Appender) -> Path:
    """A copy of a spool in use: some chunks in the file, some in its log, as after a kill."""
    directory, copy = quick_path / "used", quick_path / "torn"
    spool = opened(directory)
    for number in range(CHUNKS):
        append(spool, 3 * number + 1)
        if number == CHUNKS // 2:
            spool.close()
            spool = opened(directory)
    copy.mkdir()
    for name in (FILE, f"{FILE}-wal"):
        shutil.copy(directory / name, copy / name)
    return copy


def still_works(spool: SqliteSpool, append: Appender, conserved: Check, lanes: tuple[Lane, ...]) -> None:
    """A spool takes items, gives them back and settles them, and its books agree."""
    append(spool, 1001, 2)
    conserved(spool)
    for lane in lanes:
        for chunk in spool.peek(lane, 0, 1_000_000):
            spool.settle([Settlement(chunk.row, len(chunk.items))])
    conserved(spool)
    assert (spool.usage().events, spool.usage().bytes, spool.lanes()) == (0, 0, [])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", [FILE, f"{FILE}-wal"])
def test_a_flipped_bit_never_stops_the_start_and_never_gives_a_wrong_item(
    name: str,
    seed: int,
    torn: Path,
    opened: Opener,
    append: Appender,
    contents: Contents,
    conserved: Check,
    lanes: tuple[Lane, ...],
) -> None:
    random_, whole, log = random.Random(seed), (torn / FILE).read_bytes(), (torn / f"{FILE}-wal").read_bytes()
    for turn in range(25):
        # Every fifth flip falls into the header, where a random one hardly ever would.
        target = torn / name
        target_size = len(whole if name == FILE else log)
        position = random_.randrange(min(target_size, 100) if turn % 5 == 0 else target_size)
        directory = torn.with_name(f"flip-{turn}")
        shutil.copytree(torn, directory)
        damaged = bytearray(target.read_bytes())
        damaged[position] ^= 1 << random_.randrange(8)
        (directory / name).write_bytes(damaged)
        spool = opened(directory)
        found = contents(spool)
        assert len(found) == len(set(found)), f"twice, after a flip in byte {position}"
        assert set(found) <= set(EVERY)
        if name == FILE:
            assert len(found) >= len(EVERY) // 2, f"{found} after a flip in byte {position}"
        still_works(spool, append, conserved, lanes)
        spool.close()


def test_a_file_cut_anywhere_never_stops_the_start(
    filled: Path,
    opened: Opener,
    append: Appender,
    contents: Contents,
    conserved: Check,
    lanes: tuple[Lane, ...],
) -> None:
    whole, random_ = (filled / FILE).read_bytes(), random.Random(8)
    cuts = [0, 1, 99, 100, 8191, 8192, *(random_.randrange(len(whole)) for _ in range(44))]
    for cut in cuts:
        directory = filled.with_name(f"cut-{cut}")
        directory.mkdir()
        (directory / FILE).write_bytes(whole[:cut])
        spool = opened(directory)
        found = contents(spool)
        # All chunks are in the first half; what is cut off behind them are tables without content.
        assert found == EVERY if cut > 0.6 * len(whole) else set(found) <= set(EVERY)
        assert spool.usage().mishaps, f"cut at {cut} of {len(whole)} was not noticed"
        still_works(spool, append, conserved, lanes)
        spool.close()


def test_a_flip_in_a_payload_costs_its_row_and_nothing_else(
    tmp_path: Path, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    spool = opened()
    for first in (1, 4, 7):
        append(spool, first)
    row = spool.peek(Lane("application-one", "events"), 0, 1)[0].row
    spool.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        (body,) = connection.execute("SELECT body FROM chunks WHERE row = ?", (row,)).fetchone()
        connection.execute("UPDATE chunks SET body = ? WHERE row = ?", (body[:-1] + b"\0", row))
    connection.close()
    spool = opened()
    assert contents(spool) == [1, 2, 3, 7, 8, 9]
    assert spool.totals().dropped == {"damaged": 3}
    assert not spool.usage().mishaps
    conserved(spool)


@pytest.mark.parametrize("column", ["session = x'00'", "appended_at = 5", "lane = 3 - lane", "events = 200"])
def test_a_row_whose_facts_were_changed_is_dropped(
    column: str, tmp_path: Path, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    spool = opened()
    for first in (1, 4, 7, 10):
        append(spool, first)
    spool.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"UPDATE chunks SET {column} WHERE row = 2")
    connection.close()
    spool = opened()
    assert contents(spool) == [1, 2, 3, 7, 8, 9, 10, 11, 12]
    conserved(spool)
    assert spool.usage().events == 9


def test_rows_that_vanished_are_noticed_and_counted(
    filled: Path, opened: Opener, contents: Contents, conserved: Check
) -> None:
    with closing(sqlite3.connect(filled / FILE, isolation_level=None)) as connection:
        connection.execute("DELETE FROM chunks WHERE row % 2 = 0")
    spool = opened(filled)
    assert contents(spool) == [n for n in EVERY if (n - 1) // 3 % 2 == 0]
    assert spool.totals().dropped == {"damaged": len(EVERY) // 2}
    assert spool.lanes() == [Lane("application-two", "users")]
    conserved(spool)


def test_what_is_no_database_is_set_aside_and_a_fresh_spool_begins(
    tmp_path: Path, opened: Opener, append: Appender, contents: Contents
) -> None:
    (tmp_path / FILE).write_bytes(b"this is a letter to my aunt" * 1000)
    spool = opened(clock=lambda: 0.0)
    (mishap,) = spool.usage().mishaps
    assert mishap == Mishap("was damaged", f"{FILE}.damaged-0001-19700101T000000Z", saved=0, lost=None)
    assert (tmp_path / f"{mishap.file}-page1").read_bytes().startswith(b"this is a letter")
    append(spool, 1)
    assert contents(spool) == [1, 2, 3]


def test_a_name_of_a_table_that_is_no_text_any_more_is_damage(
    filled: Path, opened: Opener, contents: Contents
) -> None:
    """Python's sqlite3 cannot decode the error's message then, and raises what is no error of SQLite's."""
    whole = (filled / FILE).read_bytes()
    (filled / FILE).write_bytes(whole.replace(b"tablelanes", b"tablel\xe1nes"))
    found = examine(filled).faults
    assert len(found) == 1
    spool = opened(filled)
    assert contents(spool) == EVERY
    assert spool.usage().mishaps[0].saved == len(EVERY)


def test_an_empty_file_beside_a_log_is_set_aside_with_it(torn: Path, opened: Opener) -> None:
    log = (torn / f"{FILE}-wal").read_bytes()
    (torn / FILE).write_bytes(b"")
    spool = opened(torn)
    assert spool.usage().mishaps
    assert (torn / f"{spool.usage().mishaps[0].file}-wal").read_bytes() == log


def test_a_log_without_its_file_is_not_taken_for_the_new_files(torn: Path, opened: Opener) -> None:
    (torn / FILE).unlink()
    spool = opened(torn)
    assert spool.lanes() == []
    assert not spool.peek(Lane("application-one", "events"), 0, 1)


def test_damage_found_while_running_is_set_aside_and_the_rest_goes_on(
    tmp_path: Path, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    spool = opened()
    for number in range(60):
        append(spool, 3 * number + 1, size=3_000)
    spool.close()
    spool = opened()
    size = (tmp_path / FILE).stat().st_size
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(8192 * 3))
    found = contents(spool, size=3_000)
    assert 150 <= len(found) < 180
    assert spool.usage().mishaps
    assert (spool.usage().mishaps[0].saved, spool.usage().mishaps[0].lost) == (len(found), 180 - len(found))
    assert spool.last_sequence(b"s" * 16) == 180
    assert spool.totals().taken == 180
    assert spool.totals().dropped == {"damaged": 180 - len(found)}
    append(spool, 181, size=3_000)
    assert contents(spool, size=3_000) == [*found, 181, 182, 183]
    conserved(spool)


def test_rows_keep_their_place_and_their_number_when_they_are_saved(
    filled: Path, opened: Opener, lanes: tuple[Lane, ...]
) -> None:
    spool = opened(filled)
    before = spool.peek(lanes[0], 0, 1_000)
    spool.settle([Settlement(before[0].row, 3)])
    spool.close()
    damage_a_counter(filled)
    spool = opened(filled)
    assert spool.usage().mishaps
    assert spool.peek(lanes[0], 0, 1_000) == before[1:]


def damage_a_counter(directory: Path) -> None:
    with sqlite3.connect(directory / FILE) as connection:
        connection.execute("UPDATE counters SET value = value + 64 WHERE name = 'taken'")
    connection.close()


def test_a_salvage_that_was_killed_is_done_again(filled: Path, opened: Opener, contents: Contents) -> None:
    damage_a_counter(filled)
    # The state between the two renames: the damaged file is aside, its successor is not finished.
    (filled / FILE).rename(filled / f"{FILE}.damaged-20260101T000000Z")
    salvage.unfinished(filled / FILE).write_bytes(b"half a file")
    spool = opened(filled)
    assert contents(spool) == EVERY
    assert spool.usage().mishaps[0].saved == len(EVERY)


def test_a_salvage_that_was_killed_and_then_could_make_no_file_is_done_once_it_can(
    filled: Path, opened: Opener, contents: Contents
) -> None:
    damage_a_counter(filled)
    (filled / FILE).rename(filled / f"{FILE}.damaged-20260101T000000Z")
    salvage.unfinished(filled / FILE).write_bytes(b"half a file")
    with no_more_descriptors(), pytest.raises(OSError, match="Too many open files"):
        salvage.replace(filled / FILE, now=0.0)
    assert contents(opened(filled)) == EVERY


def test_only_the_newest_damaged_files_are_kept(filled: Path, opened: Opener, contents: Contents) -> None:
    for hour in range(5):
        damage_a_counter(filled)
        opened(filled, clock=lambda hour=hour: hour * 3600.0).close()
    kept = [name for name in files(filled) if name.endswith("Z")]
    assert kept == [f"{FILE}.damaged-000{hour + 1}-19700101T0{hour}0000Z" for hour in (2, 3, 4)]
    assert contents(opened(filled)) == EVERY


def test_a_session_whose_sequence_was_changed_counts_as_unknown(filled: Path, opened: Opener) -> None:
    with sqlite3.connect(filled / FILE) as connection:
        connection.execute("UPDATE sessions SET last = last + 4096")
    connection.close()
    assert opened(filled).last_sequence(b"s" * 16) is None

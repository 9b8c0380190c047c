"""A damaged spool for which there is neither room nor time at once: what is left of it is read on later."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from lab.processes import eventually
from lab.small_disk import NAMESPACE, missing_right

from moesifasgi.shipper.spool import Settlement, refill, salvage
from moesifasgi.shipper.spool.fsck import examine
from moesifasgi.shipper.spool.sqlite import SqliteSpool
from moesifasgi.wire.application import Application

Opener = Callable[..., SqliteSpool]
Appender = Callable[..., None]
Contents = Callable[[SqliteSpool], list[int]]
Check = Callable[[SqliteSpool], None]

FILE = "spool.sqlite3"
SESSION = b"s" * 16
EVERY = list(range(1, 61))
DEADLINE_S = 20.0
APPENDED_AT = 77.0


@pytest.fixture
def damaged(quick_path: Path, opened: Opener, append: Appender) -> Path:
    """A directory with a spool whose books do not add up. 60 items are in it, 3 were delivered before."""
    directory = quick_path / "spool"
    spool = opened(directory, clock=lambda: APPENDED_AT)
    append(spool, 101)
    spool.settle([Settlement(1, 3)])
    for first in range(1, 61, 3):
        append(spool, first)
    spool.remember(Application("application-one", batch_size=3))
    spool.close()
    with closing(sqlite3.connect(directory / FILE)) as connection, connection:
        connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'taken'")
    return directory


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start may not read a single row of a damaged file; and a step of the refill takes one row."""
    monkeypatch.setattr(salvage, "SALVAGE_S", 0.0)
    monkeypatch.setattr(salvage.replace, "__defaults__", (0.0,))
    monkeypatch.setattr(refill, "STEP_BYTES", 1)


def refilled(spool: SqliteSpool) -> int:
    """Look after the spool until nothing more waits; returns how many steps stored something."""
    steps = 0

    def done() -> bool:
        nonlocal steps
        steps += spool.look_after()
        with spool.database.intake.turn() as connection:
            return refill.first(connection) is None

    eventually(done, DEADLINE_S, "all is taken over")
    return steps


@pytest.mark.usefixtures("no_time")
def test_what_a_start_has_no_time_to_read_waits_is_counted_and_is_taken_over_step_by_step(
    damaged: Path, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    spool = opened(damaged)
    conserved(spool)
    (mishap,) = spool.usage().mishaps
    assert (contents(spool), mishap.saved, mishap.lost, mishap.waiting) == ([], 0, 0, 61)
    assert spool.last_sequence(SESSION) == 60
    assert [each.batch_size for each in spool.applications()] == [3]
    assert any("61 events are still to be read" in note for note in examine(damaged).notes)
    assert not examine(damaged).faults
    assert spool.usage().waiting == 61
    append(spool, 61)
    assert refilled(spool) == 20
    assert spool.usage().waiting == 0
    assert contents(spool) == [*EVERY, 61, 62, 63]
    conserved(spool)
    totals = spool.totals()
    assert (totals.taken, totals.delivered, dict(totals.dropped)) == (67, 3, {"damaged": 1})
    assert not spool.look_after()
    assert not examine(damaged).faults


@pytest.mark.usefixtures("no_time")
def test_it_keeps_its_age_and_comes_behind_what_came_meanwhile(
    damaged: Path, opened: Opener, append: Appender
) -> None:
    spool = opened(damaged, clock=lambda: 5.0)
    append(spool, 61)
    refilled(spool)
    first, *rest = spool.peek(spool.lanes()[0], 0, 1_000)
    assert (first.sequences, first.appended_at) == ((61, 62, 63), 5.0)
    assert rest
    assert all(chunk.appended_at == APPENDED_AT for chunk in rest)


@pytest.mark.usefixtures("no_time")
def test_wherever_it_is_killed_nothing_is_stored_twice(
    damaged: Path, opened: Opener, contents: Contents, conserved: Check
) -> None:
    spool = opened(damaged)
    for step in range(0, 20, 3):
        for _ in range(3):
            spool.look_after()
        copy = damaged.with_name(f"killed-{step}")
        shutil.copytree(damaged, copy)
        again = opened(copy)
        assert not again.usage().mishaps
        refilled(again)
        assert contents(again) == EVERY
        conserved(again)
        again.close()


@pytest.mark.usefixtures("no_time")
def test_a_spool_that_is_damaged_again_meanwhile_still_knows_what_waits(
    damaged: Path, opened: Opener, contents: Contents, conserved: Check
) -> None:
    spool = opened(damaged)
    for _ in range(5):
        spool.look_after()
    spool.close()
    with closing(sqlite3.connect(damaged / FILE)) as connection, connection:
        connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'taken'")
    spool = opened(damaged)
    conserved(spool)
    refilled(spool)
    assert contents(spool) == EVERY
    conserved(spool)


@pytest.mark.usefixtures("no_time")
def test_a_file_that_is_still_to_be_read_is_not_deleted_as_surplus(
    damaged: Path, opened: Opener, contents: Contents
) -> None:
    for _ in range(6):
        opened(damaged).close()
        with closing(sqlite3.connect(damaged / FILE)) as connection, connection:
            connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'taken'")
    spool = opened(damaged)
    refilled(spool)
    assert contents(spool) == EVERY


@pytest.mark.usefixtures("no_time")
def test_where_to_read_on_is_not_believed_without_its_seal(
    damaged: Path, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    spool = opened(damaged)
    spool.look_after()
    append(spool, 61)
    with closing(sqlite3.connect(damaged / FILE)) as connection, connection:
        connection.execute("UPDATE refills SET file = '../elsewhere', after = 30")
    spool.look_after()
    conserved(spool)
    refilled(spool)
    assert contents(spool) == [1, 2, 3, 61, 62, 63]
    conserved(spool)


@pytest.mark.usefixtures("no_time")
def test_a_file_that_a_person_removed_meanwhile_is_lost_and_counted(
    damaged: Path, opened: Opener, append: Appender, conserved: Check
) -> None:
    spool = opened(damaged)
    spool.look_after()
    (damaged / spool.usage().mishaps[0].file).unlink()
    refilled(spool)
    conserved(spool)
    assert spool.totals().dropped == {"damaged": 58}
    assert spool.usage().events == 3


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize("step_bytes", [1, 1_000_000])
def test_it_takes_only_the_room_there_is_and_goes_on_as_there_is_more(
    step_bytes: int,
    damaged: Path,
    opened: Opener,
    contents: Contents,
    conserved: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refill, "STEP_BYTES", step_bytes)
    monkeypatch.setattr("moesifasgi.shipper.spool.refilling.REST_S", 0.0)
    spool = opened(damaged, max_bytes=2_000)
    seen: list[int] = []
    while spool.usage().events:
        while spool.look_after():
            assert spool.usage().bytes <= 2_000
        conserved(spool)
        held = contents(spool)
        assert held or spool.usage().events == 0
        seen += held
        for lane in spool.lanes():
            spool.settle([Settlement(one.row, len(one.items)) for one in spool.peek(lane, 0, 1_000)])
    assert sorted(seen) == EVERY
    assert "spool_full" not in spool.totals().dropped


NO_ROOM = """
mount -t tmpfs -o mode=700,size=30m tmpfs "$1" && exec "$2" -c '
import os, sqlite3, sys, time
from pathlib import Path
from moesifasgi.shipper.spool import Chunk, Item, Lane, Settlement, refilling
from moesifasgi.shipper.spool.sqlite import open_spool
home = Path(sys.argv[1])
def opened():
    return open_spool(home, max_bytes=2**30, min_free_bytes=0, durability="full")
spool, lane, session = opened(), Lane("application", "events"), b"s" * 16
for n in range(1, 101):
    spool.append([Chunk(lane, session, (n,), (Item(0, os.urandom(80_000)),))], {session: n})
spool.close()
with sqlite3.connect(home / "spool.sqlite3") as connection:
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = \\"taken\\"")
connection.close()
disk = os.statvfs(home)
(home / "ballast").write_bytes(bytes(disk.f_bavail * disk.f_frsize - int(sys.argv[2])))
spool = opened()
(mishap,) = spool.usage().mishaps
print("saved", mishap.saved, "waiting", mishap.waiting)
(home / "ballast").unlink()
delivered = []
refilling.REST_S, by = 0.01, time.monotonic() + 30
while spool.usage().events and time.monotonic() < by:
    time.sleep(0.01)
    spool.look_after()
    chunks = spool.peek(lane, 0, 100)
    delivered += [number for chunk in chunks for number in chunk.sequences]
    spool.settle([Settlement(chunk.row, 1) for chunk in chunks])
assert delivered == list(range(1, 101)), delivered
assert spool.totals().dropped == {"damaged": 1}, spool.totals()
print("delivered")
' "$1" "$3"
"""


@pytest.mark.parametrize(
    ("free_bytes", "said"), [(3_000_000, "saved 0 waiting 101\n"), (11_000_000, "saved 100 waiting 0\n")]
)
def test_whatever_room_there_is_beside_a_damaged_spool_it_starts_and_delivers(
    free_bytes: int, said: str, tmp_path: Path
) -> None:
    """The spool has 8 MB: a second one takes as much, and not twice that."""
    if (why := missing_right()) is not None:
        pytest.skip(why)
    command = [*NAMESPACE, "sh", "-c", NO_ROOM, "sh", tmp_path, sys.executable, str(free_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{said}delivered\n", done.stderr

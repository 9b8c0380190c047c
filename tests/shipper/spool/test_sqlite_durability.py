"""Kills, power loss, full disks, owners and versions: what was acknowledged stays, once."""

import os
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from lab.limits import files_no_larger_than

from moesifasgi.shipper.spool import Settlement, SpoolError, SpoolInUse
from moesifasgi.shipper.spool.sqlite import SqliteSpool
from moesifasgi.wire.application import Application

Opener = Callable[..., SqliteSpool]
Appender = Callable[..., None]
Contents = Callable[[SqliteSpool], list[int]]
Check = Callable[[SqliteSpool], None]

FILE = "spool.sqlite3"
SESSION = b"s" * 16

APPENDER = """
import os, random, sys
from pathlib import Path
from moesifasgi.shipper.spool import Chunk, Item, Lane
from moesifasgi.shipper.spool.sqlite import open_spool

lanes = (Lane("application-one", "events"), Lane("application-two", "users"))
spool = open_spool(Path(sys.argv[1]), max_bytes=50_000_000, min_free_bytes=0, durability="normal")
session = b"s" * 16
sequence = spool.last_sequence(session) or 0
while True:
    sequences = tuple(range(sequence + 1, sequence + 4))
    items = tuple(Item(n % 6, random.Random(n).randbytes(100)) for n in sequences)
    spool.append([Chunk(lanes[sequences[0] % 2], session, sequences, items)], {session: sequences[-1]})
    sequence = sequences[-1]
    os.write(1, b"%d\\n" % sequence)
"""


def everything(spool: SqliteSpool) -> tuple[object, ...]:
    return spool.totals(), spool.usage().events, spool.usage().bytes, spool.applications(), spool.lanes()


def test_a_restart_finds_everything_as_it_was(
    opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    spool = opened()
    for first in (1, 4, 7):
        append(spool, first)
    spool.remember(Application("application-one", batch_size=3))
    (chunk,) = spool.peek(spool.lanes()[0], 0, 1)
    spool.settle([Settlement(chunk.row, 2, dropped={"expired": 1})])
    before = everything(spool), contents(spool)
    spool.close()
    spool = opened()
    assert (everything(spool), contents(spool)) == before
    assert spool.last_sequence(SESSION) == 9
    assert not spool.usage().mishaps
    conserved(spool)


def test_whatever_was_acknowledged_before_a_kill_is_there_once(
    quick_path: Path, opened: Opener, contents: Contents, conserved: Check
) -> None:
    acknowledged = 0
    for turn in range(20):
        child = subprocess.Popen([sys.executable, "-c", APPENDER, str(quick_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        # Each time after another number of appends, so in another place of the next one.
        for _ in range(1 + turn * 7 % 60):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split(b"\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        child.wait()
        child.stdout.close()
    spool = opened(quick_path)
    found = contents(spool)
    assert found == list(range(1, found[-1] + 1))
    assert acknowledged <= found[-1] == spool.last_sequence(SESSION)
    assert not spool.usage().mishaps
    conserved(spool)


def wal_frame_ends(log: bytes) -> list[int]:
    """Where each frame of a log ends: a header of 32 bytes, then frames of 24 bytes and a page."""
    (page_bytes,) = struct.unpack_from(">I", log, 8)
    return list(range(32, len(log) + 1, 24 + page_bytes))


def test_no_acknowledged_append_is_lost_wherever_power_fails(
    quick_path: Path, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    """T20: with durability full, the log as it was at the ack is on the disk; what follows may not be."""
    spool, log = opened(quick_path, durability="full"), quick_path / f"{FILE}-wal"
    acknowledged = {}
    for number in range(20):
        append(spool, 3 * number + 1)
        acknowledged[log.stat().st_size] = 3 * number + 3
    whole = log.read_bytes()
    ends = wal_frame_ends(whole)
    assert len(ends) > 60
    for cut in ends:
        directory = quick_path / f"cut-{cut}"
        directory.mkdir()
        shutil.copy(quick_path / FILE, directory)
        (directory / f"{FILE}-wal").write_bytes(whole[:cut])
        survivor = opened(directory)
        found = contents(survivor)
        on_disk = max((last for size, last in acknowledged.items() if size <= cut), default=0)
        assert found == list(range(1, (survivor.last_sequence(SESSION) or 0) + 1))
        assert len(found) >= on_disk
        conserved(survivor)
        survivor.close()


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_durability_is_sqlites_synchronous_on_both_connections(
    durability: str, synchronous: int, opened: Opener
) -> None:
    spool = opened(durability=durability)
    for link in (spool.database.intake, spool.database.delivery):
        with link.turn() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_nobody_else_can_read_the_files(tmp_path: Path, opened: Opener, append: Appender) -> None:
    directory = tmp_path / "made"
    umask = os.umask(0)
    try:
        append(opened(directory), 1)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == dict.fromkeys([FILE, f"{FILE}-wal", f"{FILE}-shm", "spool.lock"], 0o600)


def test_a_second_owner_is_told_who_the_first_is(opened: Opener) -> None:
    opened()
    with pytest.raises(SpoolInUse, match=f"in use by process {os.getpid()}$"):
        opened()


def test_a_killed_owner_leaves_no_lock_and_a_program_it_started_does_not_inherit_it(
    tmp_path: Path, opened: Opener
) -> None:
    program = f"import subprocess, sys\n{APPENDER}".replace(
        "while True:", "subprocess.Popen([sys.executable, '-c', 'input()'], close_fds=False)\nwhile True:"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(SpoolInUse, match=f"process {child.pid}$"):
            opened()
        child.kill()
        child.wait()
        # The grandchild still waits for its input.
        opened()


def test_closing_gives_the_spool_to_the_next_owner(opened: Opener, append: Appender) -> None:
    first = opened()
    append(first, 1)
    first.close()
    assert opened().usage().events == 3


def test_a_newer_versions_file_is_refused_and_left_as_it_is(tmp_path: Path, opened: Opener) -> None:
    opened().close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        connection.execute("PRAGMA user_version = 7")
        connection.execute(f"PRAGMA application_id = {mark - 1 + 7}")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(SpoolError, match="version 7, made by a newer moesifasgi"):
        opened()
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob("*damaged*"))


def test_where_nothing_can_be_written_nothing_is_changed_until_it_can(
    tmp_path: Path, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    spool = opened()
    append(spool, 1)
    stored = spool.peek(spool.lanes()[0], 0, 1)
    with files_no_larger_than((tmp_path / f"{FILE}-wal").stat().st_size):
        for _ in range(3):
            with pytest.raises(SpoolError):
                append(spool, 4)
        with pytest.raises(SpoolError):
            spool.settle([Settlement(stored[0].row, 3)])
        assert contents(spool) == [1, 2, 3]
        assert spool.last_sequence(SESSION) == 3
        assert (spool.totals().taken, spool.totals().delivered) == (3, 0)
    append(spool, 4)
    spool.settle([Settlement(stored[0].row, 3)])
    assert contents(spool) == [4, 5, 6]
    conserved(spool)


FULL_DISK = """
mount -t tmpfs -o mode=700,size=3m tmpfs "$1" && exec "$2" -c '
import os, sys
from pathlib import Path
from moesifasgi.shipper.spool import Chunk, Item, Lane, SpoolError
from moesifasgi.shipper.spool.sqlite import open_spool
spool = open_spool(Path(sys.argv[1]), max_bytes=2**30, min_free_bytes=0, durability="full")
lane, session, last, refused = Lane("application", "events"), b"s" * 16, 0, 0
def append(n):
    spool.append([Chunk(lane, session, (n,), (Item(0, os.urandom(20_000)),))], {session: n})
def stored():
    return [s for chunk in spool.peek(lane, 0, 10**6) for s in chunk.sequences]
ballast = Path(sys.argv[1], "ballast")
ballast.write_bytes(bytes(1_000_000))
while refused < 3:
    try:
        append(last + 1)
        last += 1
    except SpoolError:
        refused += 1
assert last > 10 and stored() == list(range(1, last + 1)), last
ballast.unlink()
append(last + 1)
assert spool.last_sequence(session) == last + 1 == len(stored()) == spool.totals().taken
print("recovered")
' "$1"
"""


def test_a_full_disk_refuses_until_there_is_space_again(tmp_path: Path) -> None:
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh", tmp_path, sys.executable]
    if not shutil.which("unshare") or subprocess.run([*command[:3], "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "recovered\n", done.stderr


def test_the_disks_reserve_is_left_alone_and_the_events_are_counted(
    opened: Opener, append: Appender, conserved: Check
) -> None:
    spool = opened(min_free_bytes=2**60)
    append(spool, 1)
    assert spool.totals().dropped == {"spool_full": 3}
    assert spool.last_sequence(SESSION) == 3
    conserved(spool)


def test_space_returns_to_the_disk_when_a_backlog_was_delivered(
    tmp_path: Path, opened: Opener, append: Appender
) -> None:
    spool = opened()
    for number in range(32):
        append(spool, 2 * number + 1, count=2, size=500_000)
    spool.close()
    spool = opened()
    assert (tmp_path / FILE).stat().st_size > 30_000_000
    for lane in spool.lanes():
        for chunk in spool.peek(lane, 0, 10**6):
            spool.settle([Settlement(chunk.row, len(chunk.items))])
    spool.close()
    assert (tmp_path / FILE).stat().st_size < 18_000_000


def test_a_strangers_lock_is_an_error_and_not_a_stop(
    tmp_path: Path, opened: Opener, append: Appender, contents: Contents
) -> None:
    spool = opened()
    append(spool, 1)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolError, match="locked"):
            append(spool, 4)
        assert contents(spool) == [1, 2, 3]
        stranger.execute("ROLLBACK")
    append(spool, 4)
    assert contents(spool) == [1, 2, 3, 4, 5, 6]


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolError, match="cannot make"):
        opened(tmp_path / "file" / "spool")

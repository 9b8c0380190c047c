"""A spool's files, lock or directory are deleted or replaced while it is open: nothing stored is lost."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lab.small_disk import NAMESPACE, missing_right

from moesifasgi.shipper.spool import Settlement, SpoolError, SpoolInUse, rescue
from moesifasgi.shipper.spool.owner import LOCK_NAME
from moesifasgi.shipper.spool.sqlite import SqliteSpool

Opener = Callable[..., SqliteSpool]
Appender = Callable[..., None]
Contents = Callable[[SqliteSpool], list[int]]
Check = Callable[[SqliteSpool], None]

FILE = "spool.sqlite3"
SESSION = b"s" * 16
TAKEN = [(FILE, f"{FILE}-wal", f"{FILE}-shm"), (FILE,), (f"{FILE}-wal",)]


@pytest.fixture
def used(tmp_path: Path, opened: Opener, append: Appender) -> SqliteSpool:
    """Some of it in the file, some in its log; one chunk is settled."""
    spool = opened(tmp_path / "spool", durability="full")
    for first in (1, 4, 7):
        append(spool, first)
    spool.close()
    spool = opened(tmp_path / "spool", durability="full")
    append(spool, 10)
    spool.settle([Settlement(1, 3)])
    return spool


def unlink(directory: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (directory / name).unlink()


@pytest.mark.parametrize("names", TAKEN, ids=["all", "file", "log"])
def test_what_was_in_deleted_files_goes_on_in_new_ones(
    names: tuple[str, ...], tmp_path: Path, used: SqliteSpool, opened, append, contents, conserved
) -> None:
    unlink(tmp_path / "spool", names)
    used.look_after()
    assert used.usage().mishaps[0].what == "was taken away"
    assert (used.usage().mishaps[0].saved, used.usage().mishaps[0].lost) == (9, 0)
    append(used, 13)
    held = contents(used), used.totals(), used.last_sequence(SESSION)
    assert held[0] == list(range(4, 16))
    # As after a kill: what is there is what the names find now.
    shutil.copytree(tmp_path / "spool", tmp_path / "after")
    again = opened(tmp_path / "after")
    assert (contents(again), again.totals(), again.last_sequence(SESSION)) == held
    assert not again.usage().mishaps
    conserved(again)


def test_files_that_are_left_alone_are_left_alone(
    tmp_path: Path, used: SqliteSpool, append: Appender
) -> None:
    before = {path: path.stat().st_ino for path in (tmp_path / "spool").iterdir()}
    for first in range(13, 40, 3):
        append(used, first)
        used.look_after()
    assert {path: path.stat().st_ino for path in (tmp_path / "spool").iterdir()} == before
    assert not used.usage().mishaps


@pytest.mark.parametrize("names", TAKEN, ids=["all", "file", "log"])
def test_a_spool_that_is_closed_saves_what_was_deleted_a_moment_before(
    names: tuple[str, ...], tmp_path: Path, used: SqliteSpool, opened: Opener, contents: Contents
) -> None:
    unlink(tmp_path / "spool", names)
    used.close()
    assert contents(opened(tmp_path / "spool")) == list(range(4, 13))


def test_a_file_that_was_put_in_its_place_is_kept_and_not_mixed_in(
    tmp_path: Path, used: SqliteSpool, opened: Opener, append: Appender, contents: Contents, conserved: Check
) -> None:
    other = opened(tmp_path / "other")
    append(other, 101)
    other.close()
    (tmp_path / "other" / FILE).replace(tmp_path / "spool" / FILE)
    used.look_after()
    assert contents(used) == list(range(4, 13))
    (mishap,) = used.usage().mishaps
    (tmp_path / "kept").mkdir()
    shutil.copy(tmp_path / "spool" / mishap.file, tmp_path / "kept" / FILE)
    assert contents(opened(tmp_path / "kept")) == [101, 102, 103]
    conserved(used)


@pytest.mark.parametrize("names", TAKEN, ids=["all", "file", "log"])
def test_a_rescue_that_was_killed_when_it_was_complete_is_finished_by_the_next_start(
    names: tuple[str, ...], tmp_path: Path, used: SqliteSpool, opened: Opener, contents: Contents
) -> None:
    directory = tmp_path / "spool"
    unlink(directory, names)
    with used.database.intake.turn() as connection:
        rescue.copy(connection, directory / FILE)
    shutil.copytree(directory, tmp_path / "after")
    again = opened(tmp_path / "after")
    assert contents(again) == list(range(4, 13))
    (mishap,) = again.usage().mishaps
    assert (mishap.what, mishap.saved, mishap.lost) == ("was taken away", 9, 0)


def test_a_rescue_that_was_killed_before_it_was_complete_leaves_nothing_behind(
    tmp_path: Path, used: SqliteSpool, opened: Opener, contents: Contents
) -> None:
    used.close()
    (tmp_path / "spool" / f"{FILE}.part").write_bytes(b"half a file")
    again = opened(tmp_path / "spool")
    assert contents(again) == list(range(4, 13))
    assert not list((tmp_path / "spool").glob("*.part"))


def test_a_rescue_that_could_not_take_its_place_is_finished_later(
    tmp_path: Path, used: SqliteSpool, append: Appender, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink(tmp_path / "spool", TAKEN[0])

    def failing(path: Path, now: float) -> Path | None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(rescue, "finish", failing)
        with pytest.raises(SpoolError):
            used.look_after()
    used.look_after()
    append(used, 13)
    assert contents(used) == list(range(4, 16))


def test_a_directory_that_was_opened_to_others_later_stops_nothing(
    tmp_path: Path, used: SqliteSpool, append: Appender
) -> None:
    (tmp_path / "spool").chmod(0o777)
    used.look_after()
    append(used, 13)


def test_a_long_read_of_delivery_does_not_hold_up_a_look_at_the_files(used: SqliteSpool) -> None:
    with used.database.delivery.turn():
        looked = threading.Thread(target=used.look_after, daemon=True)
        looked.start()
        looked.join(20.0)
        assert not looked.is_alive()


def test_a_whole_directory_that_was_deleted_is_made_again_and_owned(
    tmp_path: Path, used: SqliteSpool, opened: Opener, append: Appender, contents: Contents
) -> None:
    shutil.rmtree(tmp_path / "spool")
    used.look_after()
    append(used, 13)
    with pytest.raises(SpoolInUse):
        opened(tmp_path / "spool")
    used.close()
    assert contents(opened(tmp_path / "spool")) == list(range(4, 16))


def test_a_directory_that_another_shipper_owns_by_now_is_left_to_it(
    tmp_path: Path, used: SqliteSpool, opened: Opener, append: Appender, contents: Contents
) -> None:
    (tmp_path / "spool").rename(tmp_path / "moved")
    other = opened(tmp_path / "spool")
    append(other, 101)
    with pytest.raises(SpoolInUse):
        used.look_after()
    with pytest.raises(SpoolError, match="taken away"):
        append(used, 13)
    # What it has can still be delivered.
    for lane in used.lanes():
        used.settle([Settlement(chunk.row, len(chunk.items)) for chunk in used.peek(lane, 0, 100)])
    used.close()
    assert contents(other) == [101, 102, 103]
    other.close()
    assert contents(opened(tmp_path / "moved")) == []


def test_a_deleted_lock_lets_nobody_else_in_and_is_made_again(
    tmp_path: Path, used: SqliteSpool, opened: Opener, append: Appender
) -> None:
    (tmp_path / "spool" / LOCK_NAME).unlink()
    with pytest.raises(SpoolInUse):
        opened(tmp_path / "spool")
    used.look_after()
    with pytest.raises(SpoolInUse, match=f"by process {os.getpid()}$"):
        opened(tmp_path / "spool")
    append(used, 13)


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "target").write_bytes(b"4711")
    (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "spool" / LOCK_NAME).symlink_to(tmp_path / "target")
    with pytest.raises(SpoolError, match="cannot open"):
        opened(tmp_path / "spool")
    assert (tmp_path / "target").read_bytes() == b"4711"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o1777])
def test_a_directory_that_others_may_write_to_is_refused_in_words(
    mode: int, tmp_path: Path, opened: Opener
) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(mode)
    with pytest.raises(SpoolError, match=f"mode {mode:04o}.; expected at most 0755"):
        opened(tmp_path / "spool")
    assert not list((tmp_path / "spool").iterdir())


def test_a_directory_that_others_may_read_is_used(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o755)
    opened(tmp_path / "spool")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_directory_of_another_user_is_refused_in_words(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    os.chown(tmp_path / "spool", 65_534, 65_534)
    with pytest.raises(SpoolError, match="belongs to another user; expected one of the user id 0"):
        opened(tmp_path / "spool")


NO_ROOM = """
mount -t tmpfs -o mode=700,size=7m tmpfs "$1" && exec "$2" -c '
import os, sys
from pathlib import Path
from moesifasgi.shipper.spool import Chunk, Item, Lane, Settlement, SpoolError
from moesifasgi.shipper.spool.sqlite import open_spool
home = Path(sys.argv[1])
spool = open_spool(home, max_bytes=2**30, min_free_bytes=0, durability="full")
lane, session = Lane("application", "events"), b"s" * 16
def append(n):
    spool.append([Chunk(lane, session, (n,), (Item(0, os.urandom(20_000)),))], {session: n})
def refused(call):
    try:
        call()
    except SpoolError as error:
        return str(error)
for n in range(1, 41):
    append(n)
disk = os.statvfs(home)
(home / "ballast").write_bytes(bytes(disk.f_bavail * disk.f_frsize - 400_000))
for file in home.glob("spool.sqlite3*"):
    file.unlink()
assert "full" in refused(spool.look_after), "a second copy found room"
assert "taken away" in refused(lambda: append(41))
assert not list(home.glob("*.part*"))
(first, *rest) = spool.peek(lane, 0, 100)
spool.settle([Settlement(first.row, 1)])
(home / "ballast").unlink()
spool.look_after()
append(41)
spool.close()
spool = open_spool(home, max_bytes=2**30, min_free_bytes=0, durability="full")
assert [c.sequences[0] for c in spool.peek(lane, 0, 100)] == list(range(2, 42))
print("saved")
' "$1"
"""


def test_without_room_for_a_copy_nothing_more_is_stored_until_there_is(tmp_path: Path) -> None:
    if (why := missing_right()) is not None:
        pytest.skip(why)
    command = [*NAMESPACE, "sh", "-c", NO_ROOM, "sh", tmp_path, sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "saved\n", done.stderr

"""What a leaving worker left behind is stored once, whatever of it had arrived before."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moesifasgi.channel.leftovers import leave_behind
from moesifasgi.shipper.adoption import adopt
from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Lane, SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import PREFIX
from moesifasgi.wire.messages import Event, Hello, Kind
from moesifasgi.wire.ring import Ring

APPLICATION = Application("an-application-id-for-adoption")
LANE = Lane(APPLICATION.application_id, "events")
SESSION = bytes(range(16))


def hello(base: int = 1) -> Hello:
    return Hello(1, 1, SESSION, base, 4711, "2.0.0", [APPLICATION.to_wire()])


def frames(count: int) -> list[bytes]:
    ring = Ring(max_events=count, max_bytes=1_000_000)
    for number in range(count):
        ring.offer(Kind.RECORD, 0, b"\x91" + bytes([number]))
    return ring.unacknowledged()


class FailingSpool(MemorySpool):
    """A spool that refuses as long as it is told to."""

    fails = False

    def append(self, *args: Any, **kwargs: Any) -> int:
        if self.fails:
            raise SpoolError("the disk is full")
        return super().append(*args, **kwargs)


@pytest.fixture
def spool() -> FailingSpool:
    return FailingSpool()


@pytest.fixture
def intake(spool: FailingSpool) -> Intake:
    return Intake(spool, Registry(spool))


def adopt_all(directory: Path, intake: Intake, alive: frozenset[bytes] = frozenset()) -> None:
    def commit() -> bool:
        try:
            intake.commit()
        except SpoolError:
            return False
        return True

    adopt(directory, intake, alive, commit)


def stored(spool: MemorySpool) -> list[int]:
    return [number for chunk in spool.peek(LANE, 0, 1_000) for number in chunk.sequences]


def test_all_that_was_left_is_stored_and_the_file_goes(tmp_path, intake, spool):
    leave_behind(tmp_path, hello(), frames(5))
    adopt_all(tmp_path, intake)
    assert stored(spool) == [1, 2, 3, 4, 5]
    assert not list(tmp_path.iterdir())


def test_what_a_killed_worker_had_begun_to_write_is_swept_away(tmp_path, intake, spool):
    leave_behind(tmp_path, hello(), frames(5))
    (whole,) = tmp_path.iterdir()
    whole.rename(whole.with_suffix(".unfinished"))
    adopt_all(tmp_path, intake)
    assert stored(spool) == []
    assert not list(tmp_path.iterdir())


def test_what_had_arrived_over_the_socket_is_not_stored_twice(tmp_path, intake, spool):
    left = frames(5)
    session = intake.greet(hello())
    for framed in left[:3]:
        event = decode(framed[PREFIX.size :])
        assert isinstance(event, Event)
        intake.take(session, event)
    intake.commit()
    leave_behind(tmp_path, hello(), left)
    adopt_all(tmp_path, intake)
    assert stored(spool) == [1, 2, 3, 4, 5]
    assert spool.totals().duplicates == 3


def test_the_settings_of_a_dead_worker_do_not_replace_those_of_the_living(tmp_path, spool):
    registry = Registry(spool)
    moved = replace(APPLICATION, base_uri="https://moved.example")
    registry.learn(moved)
    leave_behind(tmp_path, hello(), frames(1))
    adopt_all(tmp_path, Intake(spool, registry))
    assert stored(spool) == [1]
    assert registry.all() == [moved]


def test_a_session_that_is_alive_sends_for_itself(tmp_path, intake, spool):
    leave_behind(tmp_path, hello(), frames(2))
    adopt_all(tmp_path, intake, alive=frozenset({SESSION}))
    assert stored(spool) == []
    assert len(list(tmp_path.iterdir())) == 1


def test_the_file_stays_until_the_spool_has_taken_it(tmp_path, intake, spool):
    leave_behind(tmp_path, hello(), frames(2))
    spool.fails = True
    adopt_all(tmp_path, intake)
    assert len(list(tmp_path.iterdir())) == 1
    spool.fails = False
    adopt_all(tmp_path, intake)
    assert stored(spool) == [1, 2]
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_gives_what_stands_before_the_damage_and_is_kept(tmp_path, intake, spool):
    leave_behind(tmp_path, hello(), frames(3))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    adopt_all(tmp_path, intake)
    assert stored(spool) == [1, 2]
    assert [kept.suffix for kept in tmp_path.iterdir()] == [".damaged"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x00\x00\x00\x02\x91\x09"])
def test_a_file_that_is_no_stream_of_a_worker_is_set_aside(tmp_path, intake, spool, content):
    (tmp_path / "left-00.frames").write_bytes(content)
    adopt_all(tmp_path, intake)
    assert stored(spool) == []
    assert [kept.suffix for kept in tmp_path.iterdir()] == [".damaged"]


def a_pipe(path: Path, left: Path) -> None:
    left.unlink()
    os.mkfifo(path)


def a_link(path: Path, left: Path) -> None:
    left.rename(left.with_name("elsewhere"))
    path.symlink_to(left.with_name("elsewhere"))


def another_users(path: Path, left: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    left.rename(path)
    os.chown(path, 65_534, 65_534)


@pytest.mark.parametrize("plant", [a_pipe, a_link, another_users])
def test_what_is_no_file_of_our_own_is_left_alone_and_holds_up_nothing(plant, tmp_path, intake, spool):
    leave_behind(tmp_path, hello(), frames(2))
    (left,) = tmp_path.iterdir()
    planted = tmp_path / "left-00.frames"
    plant(planted, left)
    adopt_all(tmp_path, intake)
    assert stored(spool) == []
    assert planted.lstat()
    leave_behind(tmp_path, hello(), frames(2))
    adopt_all(tmp_path, intake)
    assert stored(spool) == [1, 2]


def test_a_file_is_whole_or_not_there_and_closed_to_others(tmp_path):
    def broken():
        yield b"some"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        leave_behind(tmp_path, hello(), broken())
    assert not list(tmp_path.iterdir())
    leave_behind(tmp_path, hello(), [])
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]

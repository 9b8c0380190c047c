"""A standalone shipper does not see what dead workers left in their directory: a living one hands it over."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from lab.far_end import FarEnd, Speaker
from lab.processes import eventually

from moesifasgi.channel import carrier, heir
from moesifasgi.channel.dial import PathDialer, StateDirectory
from moesifasgi.channel.leftovers import Found, LeftFile, found_at, leave_behind, left_in
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Ack, Hello, Kind
from moesifasgi.wire.ring import Ring

APPLICATION = Application("an-application-with-a-standalone-shipper")
DEAD = bytes(range(16))
WAIT_S = 10.0


def hello(session: bytes = DEAD, base: int = 1) -> Hello:
    return Hello(1, 1, session, base, 4711, "2.0.0", [APPLICATION.to_wire()])


def frames(count: int) -> list[bytes]:
    ring = Ring(max_events=count, max_bytes=10_000_000)
    for number in range(1, count + 1):
        ring.offer(Kind.RECORD, 0, b"\xcd" + number.to_bytes(2, "big"))
    return ring.unacknowledged()


@pytest.fixture
def far_end(short_dir: Path) -> Iterator[FarEnd]:
    with FarEnd(short_dir / "s.sock") as serving:
        yield serving


@contextmanager
def worker(far_end: FarEnd, state: Path) -> Iterator[UnixChannel]:
    """One that lives, and is connected."""
    channel = UnixChannel(PathDialer(far_end.path, StateDirectory(str(state))), 1_000, 1_000_000)
    channel.register(APPLICATION)
    channel.start()
    try:
        eventually(lambda: channel.stats()["connected"], WAIT_S, "it is connected")
        yield channel
    finally:
        channel.close()


def stored(far_end: FarEnd, session: bytes = DEAD) -> list[int]:
    return [each.sequence for each in far_end.stored() if each.session == session]


def test_a_worker_hands_over_what_a_dead_one_left(far_end: FarEnd, state: Path):
    leave_behind(state, hello(), frames(500))
    with worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "the file goes")
    assert stored(far_end) == list(range(1, 501))


def test_what_the_dead_one_said_of_its_application_does_not_replace_what_the_living_says(
    far_end: FarEnd, state: Path
):
    older = replace(APPLICATION, base_uri="https://before.example").to_wire()
    leave_behind(state, hello()._replace(applications=[older]), frames(1))
    with worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "the file goes")
    assert far_end.spool.applications() == [APPLICATION]


def test_what_had_arrived_before_is_not_stored_twice(far_end: FarEnd, state: Path):
    with Speaker(far_end.path) as dying:
        dying.session = DEAD
        dying.hello()
        dying.events(1, 2, 3)
        dying.answer_of(Ack)
    leave_behind(state, hello(), frames(5))
    with worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "the file goes")
    assert stored(far_end) == [1, 2, 3, 4, 5]
    assert far_end.spool.totals().duplicates == 0, "nor is it sent twice"


def test_all_of_it_had_arrived_before(far_end: FarEnd, state: Path):
    with Speaker(far_end.path) as dying:
        dying.session = DEAD
        dying.hello()
        dying.events(1, 2, 3)
        dying.answer_of(Ack)
    leave_behind(state, hello(), frames(3))
    with worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "the file goes")
    assert stored(far_end) == [1, 2, 3]


def test_what_a_living_worker_keeps_is_its_own_to_send(far_end: FarEnd, state: Path, monkeypatch):
    monkeypatch.setattr(carrier, "HERITAGE_INTERVAL_S", 0.02)
    owned = LeftFile(state, hello(), frames(2))
    other = b"o" * 16
    leave_behind(state, hello(other), frames(2))
    with worker(far_end, state):
        eventually(lambda: stored(far_end, other) == [1, 2], WAIT_S, "the other one's is handed over")
        assert stored(far_end) == []
        owned.close()
        eventually(lambda: stored(far_end) == [1, 2], WAIT_S, "when its owner is dead, it is too")


def test_several_workers_hand_it_over_once(far_end: FarEnd, state: Path):
    for number in range(6):
        leave_behind(state, hello(bytes([number]) * 16), frames(10))
    with worker(far_end, state), worker(far_end, state), worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "all files go")
    assert len(far_end.stored()) == 60
    assert far_end.receiver.malformed == 0


@pytest.mark.parametrize("damage", [lambda whole: whole[:-3], lambda whole: whole + b"\0\0\0\1\xc1"])
def test_what_stands_before_a_damage_is_handed_over_and_the_file_is_kept_for_people(
    damage, far_end: FarEnd, state: Path
):
    leave_behind(state, hello(), frames(4))
    (file,) = left_in(state)
    file.write_bytes(damage(file.read_bytes()))
    with worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "the file is set aside")
    assert stored(far_end) in ([1, 2, 3], [1, 2, 3, 4])
    assert [path.suffix for path in state.iterdir()] == [".damaged"]


def test_what_is_no_such_file_is_set_aside(far_end: FarEnd, state: Path):
    (state / "left-nonsense.frames").write_bytes(b"\0\0\0\1\x01 and so on")
    with worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "it is set aside")
    assert far_end.stored() == []


def test_without_a_directory_none_is_made(far_end: FarEnd, short_dir: Path):
    with worker(far_end, short_dir / "none") as channel:
        channel.offer(Kind.RECORD, 0, b"\x90")
        eventually(lambda: channel.stats()["acked"] == 1, WAIT_S, "it serves")
    assert not (short_dir / "none").exists()


def test_a_file_that_is_refused_does_not_hold_up_the_others(far_end: FarEnd, state: Path, monkeypatch):
    monkeypatch.setattr("moesifasgi.channel.carrier.HERITAGE_INTERVAL_S", 0.05)
    newer = hello(bytes(16))._replace(oldest_version=8, newest_version=9)
    leave_behind(state, newer, frames(3))
    leave_behind(state, hello(), frames(5))
    with worker(far_end, state):
        eventually(lambda: len(left_in(state)) == 1, WAIT_S, "the other one is handed over")
    assert stored(far_end) == [1, 2, 3, 4, 5]
    assert bytes(16).hex() in left_in(state)[0].name


def test_a_file_that_is_refused_is_read_less_and_less_often(far_end: FarEnd, state: Path, monkeypatch):
    monkeypatch.setattr(heir, "REFUSED_FIRST_S", 0.05)
    read_at: list[float] = []

    def read(path: Path, most_bytes: int) -> AbstractContextManager[Found | None]:
        read_at.append(time.monotonic())
        return found_at(path, most_bytes)

    monkeypatch.setattr(heir, "found_at", read)
    monkeypatch.setattr(Found, "whole", lambda _: pytest.fail("what its HELLO says is enough"))
    leave_behind(state, hello(bytes(16))._replace(oldest_version=8, newest_version=9), frames(3))
    looking = heir.Heir(PathDialer(far_end.path, StateDirectory(str(state))))
    eventually(lambda: looking.look() or len(read_at) == 4, WAIT_S, "it is tried again")
    pauses_s = [later - sooner for sooner, later in pairwise(read_at)]
    assert all(pause_s >= 0.05 * 2**turn for turn, pause_s in enumerate(pauses_s)), pauses_s


@pytest.mark.parametrize("part", [2, 1000], ids=["its HELLO is within", "nor is its HELLO"])
def test_a_file_that_is_larger_than_what_is_read_for_its_hello_is_handed_over_whole(
    part: int, far_end: FarEnd, state: Path, monkeypatch
):
    leave_behind(state, hello(), frames(900))
    monkeypatch.setattr(heir, "HELLO_BYTES", left_in(state)[0].stat().st_size // part)
    with worker(far_end, state):
        eventually(lambda: not left_in(state), WAIT_S, "the file goes")
    assert stored(far_end) == list(range(1, 901))


def test_without_another_thread_the_worker_is_served_and_the_file_waits(
    far_end: FarEnd, state: Path, monkeypatch
):
    start = threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if thread.name == "moesif-heir":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    leave_behind(state, hello(), frames(5))
    with worker(far_end, state) as channel:
        channel.offer(Kind.RECORD, 0, b"\x90")
        eventually(lambda: channel.stats()["acked"] == 1, WAIT_S, "it is served")
    assert len(left_in(state)) == 1

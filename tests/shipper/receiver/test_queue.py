"""Queues at the shipper: what may be attached, who may speak in one, and what the dead took with them."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab.far_end import FarEnd, Speaker
from lab.processes import eventually
from multiprocess import get_context

from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.receiver.queue import MAX_QUEUES
from moesifasgi.shipper.receiver.speakers import GONE_S, Speakers
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import (
    Ack,
    Attach,
    Attached,
    Bye,
    Drain,
    Drained,
    Event,
    Hello,
    Kind,
    Refused,
    Stats,
)
from moesifasgi.wire.pieces import ROOM_BYTES, head

APPLICATION = Application("app-of-the-tests")
MINE, YOURS, ROOT = 1000, 1001, 0


@pytest.fixture
def far_end(short_dir: Path) -> Iterator[FarEnd]:
    with FarEnd(short_dir / "s.sock") as made:
        yield made


def attached(far_end: FarEnd) -> int:
    count: int = far_end.receiver.status()["queues"]["attached"]
    return count


def attach(far_end: FarEnd, *descriptors: int) -> object:
    """What the shipper answers to who brings these descriptors."""
    with Speaker(far_end.path) as speaker:
        socket.send_fds(speaker.socket, [frame(encode(Attach()))], list(descriptors))
        return speaker.answer()


@pytest.fixture
def queue(far_end: FarEnd) -> Iterator[int]:
    """The write end of an attached queue."""
    reader, writer = get_context("spawn").Pipe(duplex=False)
    with writer:
        with reader:
            assert isinstance(attach(far_end, reader.fileno()), Attached)
        yield writer.fileno()


def events(*sequences: int, payload: bytes = b"\x90") -> bytes:
    return b"".join(frame(encode(Event(Kind.RECORD, 0, sequence, payload))) for sequence in sequences)


def put(queue: int, session: bytes, stream: int, data: bytes) -> None:
    """A stream's bytes, in as many pieces as it takes."""
    for start in range(0, len(data), ROOM_BYTES):
        os.write(queue, frame(head(session, stream) + data[start : start + ROOM_BYTES]))


def stored(far_end: FarEnd) -> list[int]:
    return [each.sequence for each in far_end.stored()]


def test_a_queue_is_attached_until_nobody_can_write_to_it(far_end: FarEnd):
    reader, writer = get_context("spawn").Pipe(duplex=False)
    with writer:
        with reader:
            assert attach(far_end, reader.fileno()) == Attached(os.getpid())
        child = os.dup(writer.fileno())
        assert attached(far_end) == 1
    with Speaker(far_end.path) as speaker:
        assert speaker.hello() is not None  # A whole round has passed.
    assert attached(far_end) == 1
    os.close(child)
    eventually(lambda: attached(far_end) == 0, 2.0, "the queue has ended")


def test_what_is_no_read_end_of_a_pipe_is_refused(far_end: FarEnd, tmp_path: Path):
    reader, writer = os.pipe()
    mine, yours = socket.socketpair()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    refused = [(), (writer,), (mine.fileno(),), (file,)]
    answers = [attach(far_end, *descriptors) for descriptors in refused]
    for descriptor in (reader, writer, file):
        os.close(descriptor)
    mine.close()
    yours.close()

    assert all(isinstance(answer, Refused) for answer in answers), answers
    assert attached(far_end) == 0


def test_a_refused_or_unasked_descriptor_is_closed(far_end: FarEnd):
    mine, yours = socket.socketpair()
    with closing(mine), yours:
        attach(far_end, yours.fileno())
        with Speaker(far_end.path) as speaker:
            for _ in range(3):
                socket.send_fds(speaker.socket, [b"\0"], [yours.fileno()])
        yours.close()
        mine.settimeout(5.0)
        assert mine.recv(1) == b""  # The end of the stream: nobody else holds the other end.


def test_no_more_queues_than_there_may_be(far_end: FarEnd):
    pipes = [os.pipe() for _ in range(MAX_QUEUES + 1)]
    answers = [attach(far_end, reader) for reader, _ in pipes]
    assert [type(answer) for answer in answers] == [Attached] * MAX_QUEUES + [Refused]
    for descriptors in pipes:
        for descriptor in descriptors:
            os.close(descriptor)
    eventually(lambda: attached(far_end) == 0, 5.0, "all have ended")


def test_a_dead_workers_events_are_taken_although_its_death_was_seen_first(far_end: FarEnd, queue: int):
    far_end.receiver.post(lambda: None)
    with Speaker(far_end.path) as worker:
        worker.hello()
    eventually(lambda: not far_end.receiver.workers, 2.0, "its death was seen")
    put(queue, worker.session, 1, events(1, 2, 3))
    eventually(lambda: stored(far_end) == [1, 2, 3], 2.0, "its last events are stored")


def test_who_was_never_introduced_cannot_speak(far_end: FarEnd, queue: int):
    put(queue, uuid.uuid4().bytes, 1, events(1, 2, 3))
    eventually(lambda: far_end.receiver.status()["queues"]["unclaimed"] == 1, 2.0, "it was read")
    assert stored(far_end) == []


def test_half_a_frame_of_a_dead_worker_disturbs_nobody(far_end: FarEnd, queue: int):
    with Speaker(far_end.path) as dying, Speaker(far_end.path) as other:
        dying.hello()
        other.hello()
        put(queue, other.session, 1, events(1))
        put(queue, dying.session, 1, events(1) + events(2, payload=bytes(20_000))[:9_000])
        dying.socket.close()
        put(queue, other.session, 1, events(2, 3))
        assert other.answer_of(Ack).sequence <= 3
        eventually(lambda: len(far_end.stored()) == 4, 2.0, "all others are stored")
    assert far_end.receiver.malformed == 0


def test_an_answer_to_a_drain_waits_for_what_was_put_before(far_end: FarEnd, queue: int):
    with Speaker(far_end.path) as worker:
        worker.hello()
        for number in range(1, 30):
            put(queue, worker.session, 1, events(number, payload=bytes(10_000)))
            worker.say(Drain(number, give_up=True))
            assert worker.answer_of(Drained).delivered
            assert len(far_end.stored()) == number


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["the queue first", "the socket first"])
def test_what_comes_both_ways_is_taken_once(far_end: FarEnd, queue: int, order: tuple[int, int]):
    with Speaker(far_end.path) as worker:
        worker.hello()
        ways = {
            1: lambda: put(queue, worker.session, 1, events(*range(1, 60))),
            2: lambda: worker.events(*range(1, 61)),
        }
        for way in order:
            ways[way]()
        eventually(lambda: stored(far_end) == list(range(1, 61)), 2.0, "each is stored once")
    assert far_end.receiver.malformed == 0


def test_a_stream_that_is_not_of_events_is_given_up_and_the_next_is_not(far_end: FarEnd, queue: int):
    with Speaker(far_end.path) as worker:
        worker.hello()
        put(queue, worker.session, 1, events(1) + frame(encode(Bye(1))) + events(2))
        put(queue, worker.session, 2, events(2))
        eventually(lambda: stored(far_end) == [1, 2], 2.0, "the next stream is taken")
    assert far_end.receiver.status()["peers"]["malformed"] == 1


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Room:
    """Speakers over an intake, without a socket, and with time at will."""

    def __init__(self) -> None:
        self.time = Time()
        self.intake = Intake(MemorySpool(), Registry(MemorySpool()))
        self.speakers = Speakers(self.intake, self.time)
        self.id = uuid.uuid4().bytes

    def greet(self, base: int = 1) -> None:
        self.session = self.intake.greet(Hello(1, 1, self.id, base, 7, "2", [APPLICATION.to_wire()]))
        self.speakers.greeted(self.session, MINE)

    def put(self, stream: int, data: bytes, uid: int = MINE) -> None:
        for start in range(0, len(data), ROOM_BYTES):
            self.speakers.take(head(self.id, stream) + data[start : start + ROOM_BYTES], uid)

    def pass_by(self, seconds: float) -> int:
        """What is lost then."""
        self.time.now += seconds
        self.speakers.bury()
        return self.speakers.lost


@pytest.fixture
def room() -> Room:
    made = Room()
    made.greet()
    return made


def test_a_frame_that_death_cut_off_is_counted_as_lost(room: Room):
    room.put(1, events(1, 2) + events(3, payload=bytes(9_000))[:-1])
    room.speakers.left(room.session)

    assert room.pass_by(GONE_S - 0.1) == 0
    assert room.pass_by(0.2) == 1
    assert room.pass_by(100) == 1


def test_what_the_dead_said_they_held_is_counted_as_lost_but_for_what_came(room: Room):
    room.speakers.said(room.session, Stats(0, 0, {"acked": 0}))
    room.speakers.said(room.session, Stats(50, 0, {"acked": 0}))
    room.speakers.left(room.session)
    room.put(1, events(*range(1, 21)) + events(21)[:5])
    assert room.pass_by(GONE_S) == 30


def test_a_worker_that_comes_back_has_lost_nothing(room: Room):
    room.put(1, events(1) + events(2, payload=bytes(9_000))[:5_000])
    room.speakers.said(room.session, Stats(9, 0, {"acked": 0}))
    room.speakers.left(room.session)
    room.time.now += GONE_S - 1
    room.greet()
    assert room.pass_by(100) == 0
    # Over the socket, all that the queue did not bring.
    for sequence in range(room.session.last + 1, 10):
        room.intake.take(room.session, Event(Kind.RECORD, 0, sequence, b"\x90"))
    room.speakers.left(room.session)
    assert room.pass_by(GONE_S) == 0


def test_who_said_goodbye_has_lost_nothing(room: Room):
    room.speakers.said(room.session, Stats(9, 0, {"acked": 0}))
    room.speakers.ended(room.session)
    assert room.pass_by(GONE_S) == 0


def test_an_older_streams_rest_is_passed_over_where_its_beginning_was_forgotten(room: Room):
    room.put(1, events(1, 2))
    room.greet()  # No commit: what came is dropped, and sent again.
    assert room.session.last == 0
    room.put(1, events(3, 4))
    assert room.session.last == 0
    room.put(2, events(1, 2, 3, 4, 5))
    room.put(1, events(5, 6))
    assert room.session.last == 5
    assert room.speakers.malformed == 0


def test_a_piece_without_a_head_is_none(room: Room):
    with pytest.raises(ValueError, match="longer than its head"):
        room.speakers.take(b"short", MINE)


def test_only_its_own_user_and_root_may_speak_for_a_worker(room: Room):
    room.put(1, events(1), YOURS)
    assert (room.session.last, room.speakers.unclaimed) == (0, 1)
    room.put(1, events(1))
    room.put(1, events(2), ROOT)
    assert room.session.last == 2

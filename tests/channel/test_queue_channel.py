"""The queue: what it carries, and that nothing is lost or told twice where it fails."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.far_end import FarEnd
from lab.processes import eventually
from lab.queues import UnreadQueue, queue_to

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.queue import LOOK_S, STALL_S, QueueSource
from moesifasgi.channel.started import ShipperHandle
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.places import SOCKET_NAME
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.pieces import ROOM_BYTES
from moesifasgi.wire.ring import Offer

APPLICATION = Application("app-of-the-tests")
NOTICED_S = STALL_S + 2 * LOOK_S
"""Every fault of a queue is noticed within it; what it is depends on no machine, so it is asserted apart."""
BUSY_S = 3.0
"""What a busy machine may add."""
LONGEST_OFFER_S = 0.25
"""Far below anything that waits, and above what a busy machine may take a thread's turn away for."""


@pytest.fixture
def far_end(short_dir: Path) -> Iterator[FarEnd]:
    with FarEnd(short_dir / SOCKET_NAME) as started:
        yield started


@pytest.fixture
def handle(far_end: FarEnd) -> Iterator[ShipperHandle]:
    with queue_to(far_end.path.parent) as started:
        yield started


@pytest.fixture
def unread() -> Iterator[UnreadQueue]:
    queue = UnreadQueue()
    yield queue
    queue.close()


@contextmanager
def channel_on(far_end: FarEnd, queue: QueueSource, max_bytes: int = 1 << 25) -> Iterator[UnixChannel]:
    channel = UnixChannel(PathDialer(far_end.path), 100_000, max_bytes, queue)
    channel.register(APPLICATION)
    channel.start()
    eventually(lambda: channel.stats()["on_queue"], 5.0, "the queue is in use")
    try:
        yield channel
    finally:
        channel.close()


def payload(number: int, size: int = 0) -> bytes:
    return b"\xcd" + number.to_bytes(2, "big") + bytes(size)


def offer(channel: UnixChannel, numbers: range, size: int = 0) -> None:
    for number in numbers:
        channel.counters.add("captured")
        begun = time.monotonic()
        assert channel.offer(Kind.RECORD, 0, payload(number, size)) is Offer.ACCEPTED
        assert time.monotonic() - begun < LONGEST_OFFER_S


def numbers_in(far_end: FarEnd) -> list[int]:
    return [int.from_bytes(stored.payload[1:3], "big") for stored in far_end.stored()]


def from_queues(far_end: FarEnd) -> int:
    events: int = far_end.receiver.status()["queues"]["events"]
    return events


def all_acknowledged(channel: UnixChannel) -> Callable[[], bool]:
    return lambda: channel.stats()["acked"] == channel.stats()["captured"]


def test_a_fault_of_the_queue_is_noticed_within_two_seconds():
    assert NOTICED_S <= 2.0


def test_every_event_goes_through_the_queue_and_none_over_the_socket(far_end: FarEnd, handle: ShipperHandle):
    with channel_on(far_end, handle) as channel:
        offer(channel, range(2_000))
        assert channel.drain(10.0, give_up=False).delivered

        assert numbers_in(far_end) == list(range(2_000))
        assert from_queues(far_end) == 2_000


@pytest.mark.parametrize("size", [ROOM_BYTES - 40, ROOM_BYTES, 60_000, 1_000_000])
def test_frames_larger_than_a_piece_arrive_whole_beside_those_of_others(
    far_end: FarEnd, handle: ShipperHandle, size: int
):
    with channel_on(far_end, handle) as one, channel_on(far_end, handle) as other:
        for number in range(10):
            offer(one, range(number, number + 1), size)
            offer(other, range(100 + number, 101 + number), size + 1)
        assert one.drain(10.0, give_up=False).delivered
        assert other.drain(10.0, give_up=False).delivered

    wanted = {payload(number, size) for number in range(10)}
    wanted |= {payload(100 + number, size + 1) for number in range(10)}
    stored = [each.payload for each in far_end.stored()]
    assert set(stored) == wanted
    assert len(stored) == from_queues(far_end) == 20


def test_an_answer_to_a_drain_speaks_of_what_is_in_the_queue_too(far_end: FarEnd, handle: ShipperHandle):
    with channel_on(far_end, handle) as channel:
        for number in range(50):
            offer(channel, range(number, number + 1))
            assert channel.drain(5.0, give_up=False).delivered
            assert len(far_end.stored()) == number + 1


def test_another_application_makes_a_new_connection_and_nothing_twice(far_end: FarEnd, handle: ShipperHandle):
    with channel_on(far_end, handle) as channel:
        for number in range(20):
            offer(channel, range(number * 50, number * 50 + 50), 2_000)
            channel.register(Application(f"another-{number}"))
        assert channel.drain(10.0, give_up=False).delivered

        assert channel.stats()["on_queue"] == 1
        assert numbers_in(far_end) == list(range(1_000))
        assert far_end.receiver.malformed == 0


def test_a_queue_that_nobody_reads_is_noticed_and_left_for_the_socket(far_end: FarEnd, unread: UnreadQueue):
    with channel_on(far_end, unread) as channel:
        begun = time.monotonic()
        offer(channel, range(1_000), 500)  # Ten times what the pipe holds.
        eventually(lambda: not channel.stats()["on_queue"], NOTICED_S + BUSY_S, "it is noticed")
        assert time.monotonic() - begun >= STALL_S - LOOK_S
        eventually(all_acknowledged(channel), 5.0, "all are acknowledged")

        offer(channel, range(1_000, 1_100))
        assert channel.drain(5.0, give_up=False).delivered
        assert numbers_in(far_end) == list(range(1_100))
        assert from_queues(far_end) == 0


def test_an_idle_workers_first_event_in_a_dead_queue_is_noticed_as_soon(far_end: FarEnd, unread: UnreadQueue):
    with channel_on(far_end, unread) as channel:
        time.sleep(STALL_S + 2 * LOOK_S)  # Nothing is put: nothing is missing.
        assert channel.stats()["on_queue"] == 1
        offer(channel, range(1))
        eventually(lambda: numbers_in(far_end) == [0], NOTICED_S + BUSY_S, "it is there by the socket")


def test_a_queue_whose_reader_is_gone_is_left_at_once(far_end: FarEnd, unread: UnreadQueue):
    with channel_on(far_end, unread) as channel:
        offer(channel, range(10))
        unread.desert()
        offer(channel, range(10, 20))
        eventually(lambda: len(far_end.stored()) == 20, STALL_S - LOOK_S, "all come by the socket")
        assert numbers_in(far_end) == list(range(20))


def test_what_is_no_piece_ends_the_queue_and_costs_nothing(far_end: FarEnd, handle: ShipperHandle):
    with channel_on(far_end, handle) as one, channel_on(far_end, handle) as other:
        offer(one, range(100))
        assert handle.writer is not None
        os.write(handle.writer.fileno(), b"an application that prints into somebody else's descriptor")
        offer(one, range(100, 200))
        offer(other, range(200, 300))
        for channel in (one, other):
            eventually(all_acknowledged(channel), NOTICED_S + BUSY_S, "all are acknowledged")
            assert channel.stats()["on_queue"] == 0
        assert sorted(numbers_in(far_end)) == list(range(300))
        status = far_end.receiver.status()
        assert status["queues"]["attached"] == 0
        assert status["peers"]["malformed"] == 1


def test_a_full_queue_fills_the_ring_and_then_refuses_without_waiting(far_end: FarEnd, unread: UnreadQueue):
    with channel_on(far_end, unread, max_bytes=500_000) as channel:
        fates = []
        for _ in range(700):
            begun = time.monotonic()
            fates.append(channel.offer(Kind.RECORD, 0, bytes(1_000)))
            assert time.monotonic() - begun < LONGEST_OFFER_S
        accepted = fates.count(Offer.ACCEPTED)
        assert set(fates) == {Offer.ACCEPTED, Offer.FULL}
        assert 490 <= accepted < 500
        # Nothing of what was accepted is lost over it.
        eventually(lambda: len(far_end.stored()) == accepted, NOTICED_S + BUSY_S, "all come by the socket")


def test_a_closed_channel_begins_anew_on_the_queue(far_end: FarEnd, handle: ShipperHandle):
    with channel_on(far_end, handle) as channel:
        for number in range(5):
            offer(channel, range(number * 10, number * 10 + 10))
            assert channel.drain(5.0, give_up=False).delivered
            channel.close()
        assert numbers_in(far_end) == list(range(50))
        assert from_queues(far_end) == 50

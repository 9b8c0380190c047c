"""What every channel promises, over every channel there is."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lab.far_end import FarEnd
from lab.processes import eventually

from moesifasgi.channel import Channel
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import EVENT_HEADER_BYTES
from moesifasgi.wire.frame import MAX_FRAME_BYTES
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer

APPLICATION = Application("app-of-the-tests")


class Subject(ABC):
    """One kind of channel, and what came out at its other end."""

    @abstractmethod
    def channel(self, **bounds: Any) -> Channel:
        """A new channel of this kind, closed after the test."""

    @abstractmethod
    def arrived(self) -> list[bytes]:
        """The payloads that came through, in their order."""


class Memory(Subject):
    def __init__(self) -> None:
        self.made: list[MemoryChannel] = []

    def channel(self, **bounds: Any) -> Channel:
        self.made.append(MemoryChannel(**bounds))
        return self.made[-1]

    def arrived(self) -> list[bytes]:
        return [event.payload for channel in self.made for event in channel.events]


class Unix(Subject):
    def __init__(self, far_end: FarEnd) -> None:
        self.far_end = far_end
        self.made: list[UnixChannel] = []

    def channel(self, *, max_events: int = 10_000, max_bytes: int = 1 << 25) -> Channel:
        self.made.append(UnixChannel(PathDialer(self.far_end.path), max_events, max_bytes))
        return self.made[-1]

    def arrived(self) -> list[bytes]:
        return [stored.payload for stored in self.far_end.stored()]


@pytest.fixture(params=["memory", "unix"])
def subject(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Subject]:
    if request.param == "memory":
        yield Memory()
        return
    with FarEnd(short_dir / "s.sock") as far_end:
        unix = Unix(far_end)
        yield unix
        for channel in unix.made:
            channel.close()


def test_an_application_has_one_key_however_often_it_is_registered(subject: Subject):
    channel = subject.channel()

    assert channel.register(APPLICATION) == 0
    assert channel.register(Application("another")) == 1
    assert channel.register(Application("app-of-the-tests")) == 0


def test_what_is_offered_arrives_once_and_in_order(subject: Subject):
    channel = subject.channel()
    key = channel.register(APPLICATION)
    payloads = [b"\xcd" + number.to_bytes(2, "big") for number in range(500)]

    assert {channel.offer(Kind.RECORD, key, payload) for payload in payloads} == {Offer.ACCEPTED}
    channel.drain(5.0, give_up=False)

    assert subject.arrived() == payloads


def test_an_offer_with_nobody_waiting_arrives_by_itself(subject: Subject):
    channel = subject.channel()
    channel.offer(Kind.RECORD, channel.register(APPLICATION), b"\x90")

    eventually(lambda: subject.arrived() == [b"\x90"], 2.0, "it arrived")


def test_a_full_ring_refuses_the_newest(subject: Subject):
    # Too many for any far end to acknowledge within the loop would be slow: one payload fills this ring.
    channel = subject.channel(max_bytes=1_000)
    key = channel.register(APPLICATION)

    assert channel.offer(Kind.RECORD, key, bytes(1_000)) is Offer.FULL
    assert channel.offer(Kind.RECORD, key, b"\x90") is Offer.ACCEPTED
    channel.drain(5.0, give_up=False)
    assert subject.arrived() == [b"\x90"]


def test_a_payload_over_the_wires_limit_is_too_large(subject: Subject):
    channel = subject.channel()
    too_large = bytes(MAX_FRAME_BYTES - EVENT_HEADER_BYTES + 1)

    assert channel.offer(Kind.RECORD, channel.register(APPLICATION), too_large) is Offer.TOO_LARGE
    assert channel.stats()["ring_events"] == 0


def test_a_drain_of_nothing_is_over_at_once(subject: Subject):
    begun = time.monotonic()

    assert subject.channel().drain(10.0, give_up=False).delivered
    assert time.monotonic() - begun < 1.0


def test_the_numbers_add_up(subject: Subject):
    channel = subject.channel()
    key = channel.register(APPLICATION)
    for _ in range(20):
        channel.counters.add("captured")
        channel.offer(Kind.RECORD, key, b"\x90")
    channel.drain(5.0, give_up=False)

    stats = channel.stats()
    assert stats["captured"] == 20
    assert stats["acked"] + stats["ring_events"] == 20
    assert channel.counters.difference(stats["ring_events"], 0) == 0


def test_a_channel_may_be_closed_at_any_time_and_twice(subject: Subject):
    channel = subject.channel()
    channel.close()
    channel.start()
    channel.close()
    channel.close()


def test_an_offer_after_close_begins_anew(subject: Subject):
    channel = subject.channel()
    key = channel.register(APPLICATION)
    channel.offer(Kind.RECORD, key, b"\x01")
    channel.drain(5.0, give_up=False)
    channel.close()

    assert channel.offer(Kind.RECORD, key, b"\x02") is Offer.ACCEPTED
    channel.drain(5.0, give_up=False)
    assert subject.arrived() == [b"\x01", b"\x02"]


def test_no_policy_is_known_before_the_dashboard_has_spoken(subject: Subject):
    channel = subject.channel()

    assert channel.policy(channel.register(APPLICATION)) is None


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual, so that a race is met rather than missed."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
def test_eight_threads_at_once_lose_and_repeat_nothing(subject: Subject):
    channel = subject.channel()
    key = channel.register(APPLICATION)
    threads, each = 8, 250

    def offer_all(thread: int) -> list[bytes]:
        mine = [bytes([0xCE, thread, *number.to_bytes(3, "big")]) for number in range(each)]
        assert {channel.offer(Kind.RECORD, key, payload) for payload in mine} == {Offer.ACCEPTED}
        return mine

    with ThreadPoolExecutor(threads) as pool:
        offered = list(pool.map(offer_all, range(threads)))
    channel.drain(5.0, give_up=False)

    arrived = subject.arrived()
    for mine in offered:
        assert [payload for payload in arrived if payload[1] == mine[0][1]] == mine
    assert len(arrived) == threads * each

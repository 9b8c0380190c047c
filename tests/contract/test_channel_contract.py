"""What every channel promises, over every channel there is."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest
from lab.far_end import FarEnd
from lab.processes import eventually
from lab.queues import queue_to

from moesifasgi.channel import Channel
from moesifasgi.channel.carrier import STATS_INTERVAL_S
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.channel.queue import QueueSource
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.places import SOCKET_NAME
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import EVENT_HEADER_BYTES
from moesifasgi.wire.frame import MAX_FRAME_BYTES
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer

APPLICATION = Application("app-of-the-tests")
Document = Mapping[str, Any]


def policy(rate: int) -> Document:
    return {"config": {"sample_rate": rate}, "rules": []}


class Subject(ABC):
    """One kind of channel, and what came out at its other end."""

    @abstractmethod
    def channel(self, **bounds: Any) -> Channel:
        """A new channel of this kind, closed after the test."""

    @abstractmethod
    def push(self, application: Application, document: Document) -> None:
        """What the shipper does with a new policy."""

    @abstractmethod
    def reported(self, application: Application) -> list[str]:
        """What was reported of enforcing it, as far as it has come."""

    @abstractmethod
    def arrived(self) -> list[bytes]:
        """The payloads that came through, in their order."""


class Memory(Subject):
    def __init__(self) -> None:
        self.made: list[MemoryChannel] = []

    def channel(self, **bounds: Any) -> Channel:
        self.made.append(MemoryChannel(**bounds))
        return self.made[-1]

    def push(self, application: Application, document: Document) -> None:
        for channel in self.made:
            channel.push(channel.register(application), document)

    def reported(self, application: Application) -> list[str]:
        (channel,) = self.made
        key = channel.register(application)
        return [line for report in channel.policies.reports() if report.key == key for line in report.lines]

    def arrived(self) -> list[bytes]:
        return [event.payload for channel in self.made for event in channel.events]


class Unix(Subject):
    def __init__(self, far_end: FarEnd, queue: QueueSource | None = None) -> None:
        self.far_end = far_end
        self.queue = queue
        self.made: list[UnixChannel] = []

    def channel(self, *, max_events: int = 10_000, max_bytes: int = 1 << 25) -> Channel:
        self.made.append(UnixChannel(PathDialer(self.far_end.path), max_events, max_bytes, self.queue))
        return self.made[-1]

    def push(self, application: Application, document: Document) -> None:
        self.far_end.receiver.push(application.application_id, msgpack.packb(document))

    def reported(self, application: Application) -> list[str]:
        return self.far_end.receiver.reports().get(application.application_id, [])

    def arrived(self) -> list[bytes]:
        return [stored.payload for stored in self.far_end.stored()]


@pytest.fixture(params=["memory", "unix", "queue"])
def subject(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Subject]:
    if request.param == "memory":
        yield Memory()
        return
    with FarEnd(short_dir / SOCKET_NAME) as far_end, ExitStack() as stack:
        queue = stack.enter_context(queue_to(short_dir)) if request.param == "queue" else None
        unix = Unix(far_end, queue)
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


def test_nothing_is_told_before_the_dashboard_has_spoken(subject: Subject):
    channel, heard = subject.channel(), list[Document]()
    channel.watch(channel.register(APPLICATION), heard.append)
    channel.start()
    channel.offer(Kind.RECORD, 0, b"\x90")
    channel.drain(2.0, give_up=False)

    assert heard == []


def test_each_new_policy_is_told_once_and_in_order(subject: Subject):
    channel, heard = subject.channel(), list[Document]()
    channel.watch(channel.register(APPLICATION), heard.append)
    channel.start()
    for rate in (10, 20, 20, 30):
        subject.push(APPLICATION, policy(rate))
        eventually(lambda rate=rate: heard and heard[-1] == policy(rate), 2.0, "it is told")

    assert heard == [policy(10), policy(20), policy(30)]


def test_who_watches_later_is_told_at_once(subject: Subject):
    channel, first, later = subject.channel(), list[Document](), list[Document]()
    key = channel.register(APPLICATION)
    channel.watch(key, first.append)
    channel.start()
    subject.push(APPLICATION, policy(10))
    eventually(lambda: first, 2.0, "the first is told")

    channel.watch(key, later.append)
    assert later == [policy(10)]


def test_each_application_has_its_own_policy(subject: Subject):
    channel, other = subject.channel(), Application("another")
    heard: dict[int, list[Document]] = {}
    for application in (APPLICATION, other):
        key = channel.register(application)
        heard[key] = []
        channel.watch(key, heard[key].append)
    channel.start()
    subject.push(other, policy(2))
    subject.push(APPLICATION, policy(1))

    eventually(lambda: all(heard.values()), 2.0, "both are told")
    assert heard == {0: [policy(1)], 1: [policy(2)]}


def test_a_listener_that_raises_disturbs_neither_the_others_nor_the_channel(subject: Subject):
    channel, heard = subject.channel(), list[Document]()
    key = channel.register(APPLICATION)
    channel.watch(key, lambda document: document["no such key"])
    channel.watch(key, heard.append)
    channel.start()
    for rate in (10, 20):
        subject.push(APPLICATION, policy(rate))
        eventually(lambda rate=rate: heard and heard[-1] == policy(rate), 2.0, "the other is told")

    assert channel.offer(Kind.RECORD, key, b"\x90") is Offer.ACCEPTED


def test_a_policy_as_large_as_a_frame_is_told_whole(subject: Subject):
    channel, heard = subject.channel(), list[Document]()
    channel.watch(channel.register(APPLICATION), heard.append)
    channel.start()
    large = {"config": {"user_sample_rate": {str(user): user % 101 for user in range(150_000)}}, "rules": []}
    subject.push(APPLICATION, large)
    subject.push(APPLICATION, policy(5))

    eventually(lambda: heard and heard[-1] == policy(5), 5.0, "the last is told")
    assert heard[0] in (large, policy(5))


def test_reports_replace_each_other_and_are_bounded(subject: Subject):
    channel = subject.channel()
    key = channel.register(APPLICATION)
    channel.start()
    channel.report(key, ("a first word",))
    channel.report(key, tuple(f"{number} {'x' * 300}" for number in range(30)))

    lines = eventually(lambda: subject.reported(APPLICATION), STATS_INTERVAL_S + 2.0, "it is reported")
    assert [line[:3] for line in lines] == [f"{number} {'x' * 3}"[:3] for number in range(20)]
    assert {len(line) for line in lines} == {200}


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

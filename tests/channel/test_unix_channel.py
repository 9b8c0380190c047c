"""The Unix channel when its far end stops, dies, comes back, lies, or is not there."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

import msgpack
import pytest
from lab.far_end import FarEnd, silent_listener
from lab.processes import eventually

from moesifasgi.channel.carrier import STATS_INTERVAL_S
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.unix_socket import connected, listening
from moesifasgi.version import VERSION
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import MAX_KEY, decode, encode
from moesifasgi.wire.frame import PREFIX, FrameDecoder, frame
from moesifasgi.wire.messages import Ack, Event, Hello, Kind, Message, Policy, Refused, Report, Stats, Welcome
from moesifasgi.wire.ring import Offer

APPLICATION = Application("app-of-the-tests")
BACK_S = 2.0
"""A shipper that comes back is found within this time (T9, T12)."""


class TightDialer(PathDialer):
    """Connections whose send buffer takes little more than one small frame: every write is a partial one."""

    def __call__(self) -> socket.socket:
        made = super().__call__()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        return made


@pytest.fixture
def path(short_dir: Path) -> Path:
    return short_dir / "s.sock"


Connect = Callable[..., UnixChannel]


@pytest.fixture
def connect(path: Path) -> Iterator[Connect]:
    """A maker of channels to ``path`` with APPLICATION registered under key 0; closes them."""
    with ExitStack() as stack:

        def made(dialer: PathDialer | None = None, max_events: int = 100_000, max_bytes: int = 1 << 25):
            channel = UnixChannel(dialer or PathDialer(path), max_events, max_bytes)
            stack.callback(channel.close)
            channel.register(APPLICATION)
            return channel

        yield made


def offer(channel: UnixChannel, number: int, size: int = 2) -> Offer:
    return channel.offer(Kind.RECORD, 0, number.to_bytes(4, "big") + bytes(size))


def numbers_in(far_end: FarEnd) -> list[int]:
    return [int.from_bytes(stored.payload[:4], "big") for stored in far_end.stored()]


def reports(far_end: FarEnd) -> list[dict[str, Any]]:
    """The workers that have sent their statistics."""
    workers = far_end.receiver.status()["workers"]
    return [worker for worker in workers if worker["ring_events"] is not None]


class Impostor:
    """Something else at the socket: says ``answers`` to each HELLO and notes what it hears."""

    def __init__(self, path: Path, *answers: bytes) -> None:
        self._listener = listening(path, 0o600)
        self._listener.settimeout(5.0)
        self._answers = b"".join(answers)

    def __enter__(self) -> "Impostor":
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()

    def greet(self, until: Callable[[list[Message]], bool] = lambda heard: bool(heard)) -> list[Message]:
        """Serve one connection until it has said enough, then close it."""
        accepted, _ = self._listener.accept()
        decoder, heard = FrameDecoder(), list[Message]()
        with closing(accepted):
            accepted.settimeout(5.0)
            answered = False
            while not until(heard):
                data = accepted.recv(1 << 16)
                assert data, "the worker left"
                decoder.feed(data)
                heard += map(decode, iter(decoder.next_payload, None))
                if not answered:
                    accepted.sendall(self._answers)
                    answered = True
        return heard


def said(message: Message) -> bytes:
    return frame(encode(message))


def events_of(heard: list[Message]) -> list[int]:
    return [message.sequence for message in heard if isinstance(message, Event)]


def test_a_frame_larger_than_the_kernel_takes_arrives_whole(path: Path, connect: Connect):
    sizes = [30_000, *range(0, 9_000, 300)]
    with FarEnd(path) as far_end:
        channel = connect(TightDialer(path))
        channel.start()
        eventually(lambda: reports(far_end), 2.0, "its first statistics have come: nothing waits any more")
        assert offer(channel, 0, size=sizes[0]) is Offer.ACCEPTED
        # Sooner than the channel would look by itself, for its next statistics.
        eventually(lambda: far_end.stored(), STATS_INTERVAL_S * 0.7, "it is stored")
        for number, size in enumerate(sizes[1:], 1):
            assert offer(channel, number, size=size) is Offer.ACCEPTED

        assert channel.drain(5.0, give_up=False).delivered
        assert numbers_in(far_end) == list(range(len(sizes)))
        assert [len(stored.payload) for stored in far_end.stored()] == [4 + size for size in sizes]
        assert far_end.receiver.malformed == 0


def test_offers_never_wait_for_a_far_end_that_does_not_read(path: Path, connect: Connect):
    """T9: a stopped shipper costs its workers their rings, and no time."""

    class Deaf(Impostor):
        def accept(self) -> socket.socket:
            accepted, _ = self._listener.accept()
            accepted.recv(1 << 16)
            accepted.sendall(self._answers)
            return accepted

    with Deaf(path, said(Welcome(1, 0, 1, "0"))) as deaf:
        channel = connect(max_events=4_000)
        channel.start()
        with closing(deaf.accept()):
            eventually(lambda: channel.stats()["connected"], 2.0, "connected")
            begun = time.perf_counter()
            fates = [offer(channel, number, size=500) for number in range(10_000)]
            took_s = time.perf_counter() - begun

            assert fates == [Offer.ACCEPTED] * 4_000 + [Offer.FULL] * 6_000
            assert took_s < 1.0
            assert channel.stats()["ring_events"] == 4_000


def test_the_ring_is_bounded_in_bytes_too(connect: Connect):
    channel = connect(max_bytes=100_000)
    fates = [offer(channel, number, size=1_000) for number in range(200)]

    assert 90 <= fates.count(Offer.ACCEPTED) <= 99
    assert channel.stats()["ring_bytes"] <= 100_000
    assert fates == sorted(fates, key=[Offer.ACCEPTED, Offer.FULL].index)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_far_end_killed_mid_stream_gets_every_frame_once(
    path: Path, short_dir: Path, connect: Connect, store: str
):
    """T1: what was acknowledged is in the spool, the rest is sent again, and nothing twice."""
    kills, each = 5, 400
    channel, numbers = connect(), count()
    spool: Any = MemorySpool()
    for _ in range(kills):
        if store == "sqlite":
            spool = open_spool(short_dir, max_bytes=1 << 30, min_free_bytes=0, durability="normal")
        with FarEnd(path, spool) as far_end:
            for number in [next(numbers) for _ in range(each)]:
                assert offer(channel, number, size=300) is Offer.ACCEPTED
            # In the middle of things: some are stored, some are on their way, some in the ring.
            eventually(lambda: len(far_end.stored()) > 0, BACK_S, "some are stored")
        if store == "sqlite":
            spool.close()

    if store == "sqlite":
        spool = open_spool(short_dir, max_bytes=1 << 30, min_free_bytes=0, durability="normal")
    with FarEnd(path, spool) as far_end:
        assert channel.drain(10.0, give_up=False).delivered
        assert numbers_in(far_end) == list(range(kills * each))
        assert [stored.sequence for stored in far_end.stored()] == list(range(1, kills * each + 1))
        assert channel.stats()["acked"] == kills * each
        assert channel.stats()["ring_events"] == 0
    if store == "sqlite":
        spool.close()


def test_what_was_offered_before_there_was_a_shipper_arrives_when_there_is_one(path: Path, connect: Connect):
    channel = connect()
    for number in range(100):
        offer(channel, number)
    time.sleep(0.3)  # Several attempts to connect have failed by then.

    with FarEnd(path) as far_end:
        eventually(lambda: numbers_in(far_end) == list(range(100)), BACK_S, "all are stored")


def test_offers_during_a_backlog_wait_for_their_turn(path: Path, connect: Connect):
    """A frame that overtook another would be a gap to the far end, which drops the connection for it."""
    channel = connect()
    for number in range(5_000):
        offer(channel, number, size=100)
    with FarEnd(path) as far_end:
        eventually(lambda: channel.stats()["connected"], BACK_S, "connected")
        for number in range(5_000, 10_000):
            offer(channel, number, size=100)
        assert channel.drain(5.0, give_up=False).delivered

        assert numbers_in(far_end) == list(range(10_000))
        assert far_end.receiver.malformed == 0


def test_what_is_not_acknowledged_is_sent_again_from_there(path: Path, connect: Connect):
    channel = connect()
    with Impostor(path, said(Welcome(1, 0, 1, "0")), said(Ack(0))) as mute:
        for number in range(5):
            offer(channel, number)
        first = mute.greet(lambda heard: len(events_of(heard)) == 5)
    with Impostor(path, said(Welcome(1, 3, 1, "0"))) as knows_three:
        second = knows_three.greet(lambda heard: len(events_of(heard)) == 2)
    with Impostor(path, said(Welcome(1, 0, 1, "0"))) as behind:
        third = behind.greet(lambda heard: len(events_of(heard)) == 2)

    assert events_of(first) == [1, 2, 3, 4, 5]
    assert events_of(second) == events_of(third) == [4, 5]
    hellos = [heard[0] for heard in (first, second, third)]
    assert [hello.base for hello in hellos if isinstance(hello, Hello)] == [1, 1, 4]
    assert len({hello.session for hello in hellos if isinstance(hello, Hello)}) == 1


def test_a_welcome_of_what_was_never_sent_begins_another_session_and_loses_nothing(
    path: Path, connect: Connect
):
    channel = connect()
    for number in range(3):
        offer(channel, number)
    with Impostor(path, said(Welcome(1, 1_000, 1, "0"))) as ahead:
        first = ahead.greet()
    with FarEnd(path) as far_end:
        eventually(lambda: numbers_in(far_end) == [0, 1, 2], BACK_S, "all are stored")
        assert isinstance(first[0], Hello)
        assert {stored.session for stored in far_end.stored()}.isdisjoint({first[0].session})
    assert channel.stats()["acked"] <= 3


NONSENSE = {
    "closes at once": b"",
    "refused": said(Refused("not you")),
    "no welcome": said(Ack(0)),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "malformed": frame(b"\xc1"),
    "an oversized frame": PREFIX.pack(2**31),
    "garbage after a welcome": said(Welcome(1, 0, 1, "0")) + frame(b"\xc1"),
    "an ack of what was never sent": said(Welcome(1, 0, 1, "0")) + said(Ack(1_000)),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
def test_an_impostors_answer_costs_nothing_and_the_next_shipper_is_found(
    path: Path, connect: Connect, answer: bytes
):
    channel = connect()
    offer(channel, 1)
    with Impostor(path, answer) as impostor:
        impostor.greet()
        if answer:
            impostor.greet()
    with FarEnd(path) as far_end:
        eventually(lambda: numbers_in(far_end) == [1], BACK_S, "it is stored")
        assert channel.drain(2.0, give_up=False).delivered


def test_a_shipper_that_takes_nothing_and_closes_is_not_asked_again_at_once(path: Path, connect: Connect):
    channel = connect()
    offer(channel, 1)
    began, greeted = time.monotonic(), 0
    with Impostor(path, NONSENSE["garbage after a welcome"]) as impostor:
        while time.monotonic() - began < 1.0:
            impostor.greet()
            greeted += 1
    # Waits of 50 to 100 ms, but for the first.
    assert greeted <= 22
    with FarEnd(path):
        assert channel.drain(2.0, give_up=False).delivered


def test_what_comes_together_with_the_welcome_is_heard(path: Path, connect: Connect):
    """Policy is pushed when a worker says HELLO: no other message needs to follow it."""
    channel = connect()
    heard: list[Any] = []
    channel.watch(0, heard.append)
    pushed = Policy(0, msgpack.packb({"config": {}, "rules": []}))
    with Impostor(path, said(Welcome(1, 0, 1, "0")) + said(pushed)) as shipper:
        channel.start()
        shipper.greet()
        eventually(lambda: heard, 0.3, "the policy is known")

    assert heard == [{"config": {}, "rules": []}]


@pytest.mark.parametrize("document", [b"", b"\xc1", b"\x90", b"\x82\x01", b"\x91" * 2_000])
def test_a_policy_that_cannot_be_read_leaves_the_last_one_in_force(
    path: Path, connect: Connect, document: bytes
):
    channel = connect()
    heard: list[Any] = []
    channel.watch(0, heard.append)
    good = [Policy(0, msgpack.packb({"rules": [number]})) for number in (1, 2)]
    answers = said(Welcome(1, 0, 1, "0")) + said(good[0]) + said(Policy(0, document)) + said(good[1])
    with Impostor(path, answers) as shipper:
        channel.start()
        shipper.greet()
        eventually(lambda: len(heard) == 2, 1.0, "the good ones are known")

    assert heard == [{"rules": [1]}, {"rules": [2]}]


def test_reports_are_said_once_a_connection_and_again_to_the_next_shipper(path: Path, connect: Connect):
    channel = connect()
    channel.report(0, ("rule r1 is parked",))
    for _ in range(2):
        with Impostor(path, said(Welcome(1, 0, 1, "0"))) as shipper:
            channel.start()
            heard = shipper.greet(lambda heard: sum(isinstance(one, Stats) for one in heard) == 2)

        assert [one for one in heard if isinstance(one, Report)] == [Report(0, ["rule r1 is parked"])]


def test_a_slow_listener_holds_up_no_offer(path: Path, connect: Connect):
    channel, released = connect(), threading.Event()
    listening_to = threading.Event()

    def listen(_: Any) -> None:
        listening_to.set()
        released.wait(5.0)

    channel.watch(0, listen)
    pushed = Policy(0, msgpack.packb({"rules": []}))
    with Impostor(path, said(Welcome(1, 0, 1, "0")) + said(pushed)) as shipper:
        channel.start()
        shipper.greet()
        assert listening_to.wait(2.0)
        begun = time.perf_counter()
        fates = {offer(channel, number) for number in range(100)}
        channel.report(0, ("still waiting",))
        took_s = time.perf_counter() - begun
        released.set()

    assert fates == {Offer.ACCEPTED}
    assert took_s < 0.5


def test_a_second_application_may_come_while_the_first_is_being_served(path: Path, connect: Connect):
    channel = connect()
    with FarEnd(path) as far_end:
        offer(channel, 1)
        assert channel.drain(2.0, give_up=False).delivered
        key = channel.register(Application("another"))
        channel.offer(Kind.RECORD, key, b"\x90")
        offer(channel, 2)

        assert channel.drain(2.0, give_up=False).delivered
        lanes = {lane.application_id: len(far_end.spool.peek(lane, 0, 9)) for lane in far_end.spool.lanes()}
        assert lanes == {"app-of-the-tests": 2, "another": 1}
        assert far_end.receiver.malformed == 0


def test_an_application_that_comes_during_the_handshake_is_introduced_too(path: Path, connect: Connect):
    channel = connect()
    with Impostor(path, said(Welcome(1, 0, 1, "0"))) as slow:
        channel.start()
        accepted, _ = slow._listener.accept()
        with closing(accepted):
            assert accepted.recv(1 << 16)
            channel.register(Application("another"))
            accepted.sendall(slow._answers)
            second = slow.greet()

    assert isinstance(second[0], Hello)
    assert [wire["application_id"] for wire in second[0].applications] == ["app-of-the-tests", "another"]


def test_no_more_applications_than_the_wire_has_keys_for(path: Path, connect: Connect):
    channel = connect()
    for number in range(MAX_KEY):
        channel.register(Application(f"application-{number}"))

    with pytest.raises(ValueError, match="at most 128"):
        channel.register(Application("one too many"))


def test_a_newer_connection_of_a_session_ends_the_older(path: Path, connect: Connect):
    with FarEnd(path) as far_end:
        channel = connect()
        offer(channel, 1)
        assert channel.drain(2.0, give_up=False).delivered
        carrier = channel._carrier
        with closing(connected(path, 1.0)) as newer:
            newer.sendall(said(Hello(1, 1, carrier.session.id, 2, 1, "0", [APPLICATION.to_wire()])))
            assert newer.recv(1 << 16)
            offer(channel, 2)
            # The worker comes back, as the newest now, and sends it again.
            assert channel.drain(2.0, give_up=False).delivered
            assert newer.recv(1 << 16) == b""
        assert numbers_in(far_end) == [1, 2]


@pytest.mark.parametrize("shipper", ["absent", "stopped", "stopped after its welcome"])
def test_a_drain_gives_up_after_a_second_when_no_shipper_answers(path: Path, connect: Connect, shipper: str):
    """B4: an upload without a time limit kept the process from ending."""
    channel = connect()
    with ExitStack() as stack:
        if shipper == "stopped":
            stack.enter_context(closing(silent_listener(path)))
        elif shipper != "absent":
            far_end = stack.enter_context(FarEnd(path))
            far_end.drain_answer = None
            channel.start()
            eventually(lambda: channel.stats()["connected"], 2.0, "connected")
            far_end._ending = True
            far_end._thread.join()
        offer(channel, 1)
        begun = time.monotonic()
        drained = channel.drain(30.0, give_up=True)
        channel.close()

        assert not drained.delivered
        assert drained.reason == "no shipper answers"
        assert time.monotonic() - begun < 1.2
        eventually(lambda: not channel._carrier._thread.has_begun, 0.5, "its thread has ended")


def test_a_drain_waits_as_long_as_it_was_told_for_a_shipper_that_is_at_work(path: Path, connect: Connect):
    """A busy shipper gives signs of life, so a leaving worker uses its whole time."""
    with FarEnd(path) as far_end:
        far_end.drain_answer = None
        channel = connect()
        offer(channel, 1)
        begun = time.monotonic()
        drained = channel.drain(1.5, give_up=True)

        assert (drained.delivered, drained.reason) == (False, "not delivered within 1.5 s")
        assert 1.5 <= time.monotonic() - begun < 2.0


def test_a_drain_brings_back_what_the_shipper_says(path: Path, connect: Connect):
    with FarEnd(path) as far_end:
        far_end.drain_answer = (False, "the collector answers 503")
        channel = connect()
        offer(channel, 1)

        drained = channel.drain(5.0, give_up=True)
        assert (drained.delivered, drained.reason) == (False, "the collector answers 503")
        assert numbers_in(far_end) == [1]


def test_a_drain_outlives_the_shipper_that_was_asked(path: Path, connect: Connect):
    channel = connect()
    with FarEnd(path) as first:
        first.drain_answer = None
        offer(channel, 1)
        eventually(lambda: numbers_in(first) == [1], 2.0, "it is stored")
        spool = first.spool
        successor: list[FarEnd] = []

        def replace() -> None:
            first.kill()
            successor.append(FarEnd(path, spool).__enter__())

        timer = threading.Timer(0.2, replace)
        timer.start()
        drained = channel.drain(5.0, give_up=False)
        timer.join()
        successor[0].kill()

    assert drained.delivered


def test_a_goodbye_after_a_drain_ends_the_session_at_the_far_end(path: Path, connect: Connect):
    with FarEnd(path) as far_end:
        channel = connect()
        offer(channel, 1)
        assert channel.drain(2.0, give_up=True).delivered
        session = channel._carrier.session.id
        channel.close()

        eventually(lambda: far_end.spool.last_sequence(session) is None, 1.0, "the session's row is gone")
        eventually(lambda: not far_end.receiver.workers, 1.0, "the worker is gone")


def test_the_far_end_hears_how_full_the_ring_is(path: Path, connect: Connect):
    with FarEnd(path) as far_end:
        channel = connect()
        channel.counters.add("captured")
        offer(channel, 1)
        assert channel.drain(2.0, give_up=False).delivered

        (worker,) = eventually(lambda: far_end.receiver.status()["workers"], 1.0, "a worker is known")
        assert worker["counters"]["captured"] == 1


def test_descriptors_and_threads_go_with_the_channel(path: Path, connect: Connect):
    """T13: nothing is left behind."""

    def open_descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with FarEnd(path) as far_end:
        before = open_descriptors(), threading.active_count()
        for number in range(5):
            channel = connect()
            offer(channel, number)
            assert channel.drain(2.0, give_up=True).delivered
            channel.close()
        eventually(lambda: not far_end.receiver.status()["peers"]["connected"], 1.0, "all have left")
        assert (open_descriptors(), threading.active_count()) == before


def test_of_statistics_that_nobody_reads_only_the_newest_waits(connect: Connect, path: Path, monkeypatch):
    """A shipper that is stopped for a day must not find a day's worth of them."""
    monkeypatch.setattr("moesifasgi.channel.carrier.STATS_INTERVAL_S", 0.01)
    with closing(listening(path, 0o600)) as listener:
        listener.settimeout(5.0)
        channel = connect(TightDialer(path))
        channel.start()
        far, _ = listener.accept()
        with far:
            far.settimeout(5.0)
            far.recv(1 << 16)
            far.sendall(frame(encode(Welcome(1, 0, 1, VERSION))))
            offer(channel, 1, size=1 << 20)  # Half of it stays with the channel, and all else behind it.
            told = []
            monkeypatch.setattr(
                channel._carrier, "_report", lambda report=channel._carrier._report: told.append(report())
            )
            eventually(lambda: len(told) > 20, 5.0, "it has told it many times")
            assert len(channel._carrier._control) <= 1

"""The receiver and its peers, good and hostile: who may speak, what is refused, and who is not disturbed."""

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.far_end import FarEnd, Speaker
from lab.limits import no_more_descriptors
from lab.processes import eventually

from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.shipper.receiver.conversation import MAX_DRAINS
from moesifasgi.shipper.receiver.outbox import MAX_ANSWER_BYTES
from moesifasgi.shipper.spool import Chunk, SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.version import VERSION
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import MAX_KEY, encode
from moesifasgi.wire.frame import MAX_FRAME_BYTES, PREFIX, frame
from moesifasgi.wire.messages import (
    Ack,
    Bye,
    Drain,
    Drained,
    Event,
    Kind,
    Policy,
    Refused,
    Report,
    Stats,
    StatusReply,
    StatusRequest,
    Supersede,
    Welcome,
)


class MoodySpool(MemorySpool):
    """A spool that refuses to store while it is told to: a full disk."""

    refuses = False

    def append(self, chunks: Sequence[Chunk], sessions: Mapping[bytes, int], **numbers: int) -> int:
        if self.refuses:
            raise SpoolError("no space left on device")
        return super().append(chunks, sessions, **numbers)


@pytest.fixture
def path(short_dir: Path) -> Path:
    return short_dir / "s.sock"


@pytest.fixture
def far_end(path: Path) -> Iterator[FarEnd]:
    with FarEnd(path, MoodySpool(1 << 30)) as made:
        yield made


@pytest.fixture
def speak(path: Path) -> Iterator[Callable[[], Speaker]]:
    """A maker of raw connections to the far end; closes them."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Speaker(path))


@pytest.fixture
def bystander(far_end: FarEnd, speak: Callable[[], Speaker]) -> Iterator[Speaker]:
    """A worker that is served before the test and must be after it."""
    speaker = speak()
    assert isinstance(speaker.hello(), Welcome)
    speaker.events(1)
    assert speaker.answer_of(Ack) == Ack(1)
    yield speaker
    speaker.events(2)
    assert speaker.answer_of(Ack) == Ack(2)


def sequences_of(far_end: FarEnd, speaker: Speaker) -> list[int]:
    return [stored.sequence for stored in far_end.stored() if stored.session == speaker.session]


def test_a_worker_is_welcomed_and_its_events_are_stored_before_they_are_acknowledged(
    far_end: FarEnd, speak: Any
):
    speaker = speak()
    assert speaker.hello() == Welcome(1, 0, os.getpid(), VERSION)
    speaker.events(1, 2, 3)

    assert speaker.answer_of(Ack) == Ack(3)
    assert sequences_of(far_end, speaker) == [1, 2, 3]


HOSTILE: dict[str, Callable[[Speaker], object]] = {
    "an event before HELLO": lambda peer: peer.events(1),
    "BYE before HELLO": lambda peer: peer.say(Bye(1)),
    "a second HELLO": lambda peer: (peer.hello(), peer.hello()),
    "a gap in the sequences": lambda peer: (peer.hello(), peer.events(1, 3)),
    "a sequence of 64 bits": lambda peer: (peer.hello(), peer.events(2**64 - 1)),
    "a base that no spool can count from": lambda peer: (peer.hello(base=2**63), peer.events(2**63)),
    "an unknown key": lambda peer: (peer.hello(), peer.say(Event(0, 1, 1, b"\x90"))),
    "an unknown kind": lambda peer: (peer.hello(), peer.say(Event(99, 0, 1, b"\x90"))),
    "a newer wire": lambda peer: peer.hello(oldest_version=2, newest_version=3),
    "an older wire": lambda peer: peer.hello(oldest_version=0, newest_version=0),
    "a session of no length": lambda peer: peer.hello(session=b""),
    "an application that is none": lambda peer: peer.hello(applications=[5]),
    "an application without an id": lambda peer: peer.hello(applications=[{}]),
    "what only a shipper says": lambda peer: peer.say(Welcome(1, 0, 1, "0")),
    "policy": lambda peer: peer.say(Policy(0, {})),
    "an oversized frame": lambda peer: peer.socket.sendall(PREFIX.pack(MAX_FRAME_BYTES + 1)),
    "no frame": lambda peer: peer.socket.sendall(b"GET / HTTP/1.1\r\n\r\n"),
    "an empty frame": lambda peer: peer.socket.sendall(frame(b"")),
    "an unknown message": lambda peer: peer.socket.sendall(frame(msgpack.packb([77]))),
    "deep nesting": lambda peer: peer.socket.sendall(frame(b"\x91" * 100_000)),
    "too many counters": lambda peer: (peer.hello(), peer.say(Stats(0, 0, {f"c{n}": 1 for n in range(65)}))),
    "a counter with a long name": lambda peer: (peer.hello(), peer.say(Stats(0, 0, {"c" * 41: 1}))),
    "counters that are none": lambda peer: peer.socket.sendall(
        frame(msgpack.packb([6, 1, 1, {"a": [[[]]]}]))
    ),
    "two drains of one token": lambda peer: peer.say(Drain(1, False), Drain(1, False)),
    "more drains than answers": lambda peer: peer.say(*[Drain(n, False) for n in range(MAX_DRAINS + 1)]),
}


@pytest.mark.parametrize("offence", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_peer_that_does_not_keep_to_the_wire_is_dropped(
    far_end: FarEnd, bystander: Speaker, speak: Any, offence: Callable[[Speaker], object]
):
    """T10: none accepted, none crash it, others undisturbed."""
    far_end.drain_answer = None
    peer = speak()
    with suppress(BrokenPipeError):  # It was dropped before it could say all of it.
        offence(peer)

    assert peer.is_dropped()
    assert far_end.receiver.malformed == 1


def test_what_came_before_an_offence_is_kept_and_a_worker_may_come_again(far_end: FarEnd, speak: Any):
    first = speak()
    first.hello()
    first.events(1, 2, 9)
    assert first.is_dropped()

    second = speak()
    welcome = second.hello(session=first.session)
    assert isinstance(welcome, Welcome)
    second.events(*range(welcome.last + 1, 5))
    second.answer_of(Ack)
    assert sequences_of(far_end, first) == [1, 2, 3, 4]


def test_a_wire_that_is_not_spoken_is_refused_with_the_reason(far_end: FarEnd, speak: Any):
    answer = speak().hello(oldest_version=2, newest_version=3)

    assert answer == Refused("this shipper speaks wire 1 to 1")


def test_a_newer_worker_that_still_speaks_ours_is_served(far_end: FarEnd, speak: Any):
    answer = speak().hello(oldest_version=1, newest_version=7)

    assert isinstance(answer, Welcome)
    assert answer.version == 1


def test_a_user_who_is_not_allowed_is_refused_with_the_reason(path: Path):
    with FarEnd(path, allowed_uids={os.geteuid() + 1}) as far_end, Speaker(path) as speaker:
        answer = speaker.answer()

        assert isinstance(answer, Refused)
        assert f"user id {os.geteuid()}" in answer.reason
        assert speaker.is_dropped()
        assert far_end.receiver.refused == 1


def test_half_a_frame_waits_for_its_rest_and_holds_nobody_up(far_end: FarEnd, bystander: Speaker, speak: Any):
    slow = speak()
    slow.hello()
    event = frame(encode(Event(Kind.RECORD, 0, 1, b"\x90")))
    for byte in event[:-1]:
        slow.socket.sendall(bytes([byte]))
    bystander_is_served(bystander)
    assert sequences_of(far_end, slow) == []

    slow.socket.sendall(event[-1:])
    assert slow.answer_of(Ack) == Ack(1)


def bystander_is_served(bystander: Speaker) -> None:
    bystander.say(StatusRequest())
    assert isinstance(bystander.answer_of(StatusReply), StatusReply)


def test_half_a_frame_at_the_end_of_a_stream_is_not_stored_and_the_rest_is(far_end: FarEnd, speak: Any):
    """T2: a worker that is killed leaves whole frames and at most one half."""
    speaker = speak()
    speaker.hello()
    speaker.events(1, 2)
    speaker.socket.sendall(frame(encode(Event(Kind.RECORD, 0, 3, b"\x90")))[:-1])
    speaker.socket.close()

    eventually(lambda: not far_end.receiver.workers, 2.0, "it is gone")
    eventually(lambda: sequences_of(far_end, speaker) == [1, 2], 2.0, "what was whole is stored")


def test_all_that_a_worker_sent_before_it_died_is_stored(path: Path):
    """T2: an acknowledgement that meets a dead worker does not stop the reading of what it had sent."""
    far_end = FarEnd(path)  # Its thread is never started: the test takes the steps.
    with Speaker(path) as speaker:
        hello_while_stepping(far_end, speaker)
        speaker.events(*range(1, 101), payload=bytes(50))
        speaker.say(Drain(1, False))  # Is answered at once, to nobody.
        speaker.events(*range(101, 201), payload=bytes(50))
    while far_end.receiver.workers:
        far_end.receiver.step(0.01)
    far_end.receiver.commit()
    far_end.kill()

    assert sequences_of(far_end, speaker) == list(range(1, 201))


def hello_while_stepping(far_end: FarEnd, speaker: Speaker) -> None:
    greeting = threading.Thread(target=speaker.hello)
    greeting.start()
    while greeting.is_alive():
        far_end.receiver.step(0.01)


def test_a_worker_may_leave_with_its_last_acknowledgement_unread(
    far_end: FarEnd, bystander: Speaker, speak: Any
):
    speaker = speak()
    speaker.hello()
    speaker.events(1)
    assert select.select([speaker.socket], [], [], 2.0)[0]
    speaker.socket.close()

    eventually(lambda: len(far_end.receiver.workers) == 1, 2.0, "it is gone")
    assert sequences_of(far_end, speaker) == [1]


def test_a_peer_that_sends_and_never_reads_is_dropped_without_disturbing_others(
    far_end: FarEnd, bystander: Speaker, speak: Any
):
    """T10: what a peer does not read is bounded."""
    greedy = speak()
    requests = frame(encode(StatusRequest())) * 1_000
    sent = 0
    greedy.socket.settimeout(5.0)
    with suppress(BrokenPipeError, ConnectionResetError):
        while sent < 1 << 22:
            sent += greedy.socket.send(requests)
    assert sent < 1 << 22
    bystander_is_served(bystander)


def test_what_a_peer_asks_at_once_is_not_answered_beyond_what_it_may_leave_unread(path: Path):
    """T10: one read can hold thirty thousand questions, whose answers take a hundred times their bytes."""

    class Answering(FarEnd):
        answers = 0

        def status(self) -> dict[str, Any]:
            self.answers += 1
            return {"reasons": ["x" * 1_000]}

    with Answering(path) as far_end, Speaker(path) as greedy:
        kernel_bytes = greedy.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        with suppress(BrokenPipeError):
            greedy.socket.sendall(frame(encode(StatusRequest())) * 30_000)
        eventually(lambda: far_end.answers and not len(far_end.receiver._peers), 2.0, "it is dropped")

        assert far_end.answers * 1_000 < MAX_ANSWER_BYTES + 2 * kernel_bytes


def test_a_newer_connection_of_a_session_takes_over_and_nothing_is_stored_twice(far_end: FarEnd, speak: Any):
    older, newer = speak(), speak()
    older.hello()
    older.events(*range(1, 101))
    welcome = newer.hello(session=older.session)
    assert isinstance(welcome, Welcome)
    newer.events(*range(welcome.last + 1, 151))
    while newer.answer_of(Ack).sequence < 150:
        pass

    assert older.is_dropped()
    assert sequences_of(far_end, older) == list(range(1, 151))
    assert len(far_end.receiver.workers) == 1


def test_the_older_connection_leaving_does_not_end_the_newer(far_end: FarEnd, speak: Any):
    older, newer = speak(), speak()
    older.hello()
    newer.hello(session=older.session)
    older.socket.close()
    newer.events(1)

    assert newer.answer_of(Ack) == Ack(1)


def test_while_the_spool_refuses_nothing_is_acknowledged_and_afterwards_all_is_stored_once(
    far_end: FarEnd, speak: Any
):
    """T8: a full disk. Both what was taken and what came in the meantime is stored when space returns."""
    spool = far_end.spool
    assert isinstance(spool, MoodySpool)
    speaker = speak()
    speaker.hello()
    spool.refuses = True
    speaker.events(*range(1, 51))
    speaker.say(Drain(7, False))
    assert speaker.answer_of(Drained) == Drained(7, False, "the spool cannot store events for now")
    speaker.events(*range(51, 101))
    assert sequences_of(far_end, speaker) == []

    spool.refuses = False
    acked = 0
    while acked < 100:
        acked = speaker.answer_of(Ack).sequence
    assert sequences_of(far_end, speaker) == list(range(1, 101))
    assert spool.totals().taken == 100


def test_while_the_spool_refuses_peers_are_not_read_without_end(far_end: FarEnd, speak: Any):
    """T8: what waits in the shipper is bounded; the rest waits in the kernel and in the rings."""
    spool = far_end.spool
    assert isinstance(spool, MoodySpool)
    speaker = speak()
    speaker.hello()
    spool.refuses = True
    count, payload = 60, bytes(1 << 20)
    flood = threading.Thread(target=lambda: speaker.events(*range(1, count + 1), payload=payload))
    flood.start()
    eventually(lambda: far_end.receiver._peers.paused, 3.0, "reading has stopped")
    assert far_end.intake._waiting.size < 10 << 20

    spool.refuses = False
    flood.join(10)
    acked = 0
    while acked < count:
        acked = speaker.answer_of(Ack).sequence
    assert sequences_of(far_end, speaker) == list(range(1, count + 1))


def test_while_nothing_more_is_read_of_workers_a_tool_is_told_why(far_end: FarEnd, speak: Any):
    spool = far_end.spool
    assert isinstance(spool, MoodySpool)
    worker, here_before = speak(), speak()
    worker.hello()
    spool.refuses = True
    flood = threading.Thread(target=lambda: worker.events(*range(1, 21), payload=bytes(1 << 20)))
    flood.start()
    eventually(lambda: far_end.receiver._peers.paused, 5.0, "reading has stopped")
    for tool in (here_before, speak()):
        tool.say(StatusRequest())
        assert tool.answer_of(StatusReply).status["peers"]["connected"] == 3
    spool.refuses = False
    flood.join(10)


def test_a_drain_is_answered_after_what_came_before_it_is_stored(far_end: FarEnd, speak: Any):
    speaker = speak()
    speaker.hello()
    speaker.events(1, 2)
    speaker.say(Drain(3, True))

    assert speaker.answer() == Ack(2)
    assert speaker.answer_of(Drained) == Drained(3, True, "")


def test_a_peer_that_waits_for_a_drain_hears_signs_of_life(far_end: FarEnd, speak: Any):
    far_end.drain_answer = None
    speaker = speak()
    speaker.hello()
    speaker.events(1)
    speaker.say(Drain(3, True))

    assert [speaker.answer_of(Ack, 2.0) for _ in range(4)] == [Ack(1)] * 4


def test_a_sign_of_life_acknowledges_nothing_that_is_not_stored(far_end: FarEnd, speak: Any):
    """Decision 5: an acknowledgement says that it is in the spool, whatever else it is told for."""
    spool = far_end.spool
    assert isinstance(spool, MoodySpool)
    far_end.drain_answer = None
    speaker = speak()
    speaker.hello()
    speaker.events(1)
    speaker.say(Drain(3, True))
    assert speaker.answer_of(Ack) == Ack(1)
    spool.refuses = True
    speaker.events(2)
    eventually(lambda: far_end.intake.waiting_frames, 2.0, "the event is taken")

    assert max(speaker.answer_of(Ack, 2.0).sequence for _ in range(4)) == 1


def test_the_drains_of_a_peer_that_leaves_are_withdrawn(far_end: FarEnd, speak: Any):
    far_end.drain_answer = None
    worker, tool = speak(), speak()
    worker.hello()
    worker.say(Drain(1, False), Drain(2, True))
    tool.say(Drain(1, False))
    eventually(lambda: sum(len(peer.drains) for peer in far_end.receiver._peers) == 3, 2.0, "all wait")
    for speaker in (worker, tool):
        speaker.socket.close()

    eventually(lambda: far_end.withdrawn_drains == 3, 2.0, "all are withdrawn")


def test_the_status_of_as_many_workers_as_there_may_be_is_answered(far_end: FarEnd, speak: Any):
    """500 workers with their counters are told in about 150 kB, more than a peer may leave unread."""
    counters = {f"a counter of a certain length, number {number}": number for number in range(10)}
    for _ in range(500):
        worker = speak()
        worker.hello()
        worker.say(Stats(1, 1, counters))
    tool = speak()
    tool.say(StatusRequest())
    status = tool.answer_of(StatusReply).status

    assert len(status["workers"]) == 500
    assert len(encode(StatusReply(status))) > 2 * MAX_ANSWER_BYTES


def test_more_applications_than_are_served_are_refused_until_others_are_gone(path: Path):
    with FarEnd(path, max_applications=1) as far_end, Speaker(path) as first, Speaker(path) as second:
        first.hello()
        first.events(1)
        assert first.answer_of(Ack) == Ack(1)
        first.say(Bye(1))
        other = [Application("another").to_wire()]
        refused = second.hello(applications=other)

        assert refused == Refused("this shipper serves at most 1 applications")
        assert second.is_dropped()
        assert far_end.receiver.malformed == 0


def test_a_tool_may_ask_without_a_hello(far_end: FarEnd, bystander: Speaker, speak: Any):
    bystander.say(Stats(5, 500, {"captured": 6}))
    bystander_is_served(bystander)
    tool = speak()
    tool.say(StatusRequest())
    status = tool.answer_of(StatusReply).status

    (worker,) = status["workers"]
    assert worker == {
        "pid": os.getpid(),
        "session": bystander.session.hex(),
        "ring_events": 5,
        "counters": {"captured": 6},
    }
    assert status["peers"]["connected"] == 2
    tool.say(Drain(1, False))
    assert tool.answer_of(Drained) == Drained(1, True, "")


def test_a_goodbye_ends_the_session_only_if_nothing_of_it_is_missing(far_end: FarEnd, speak: Any):
    for final, known in ((2, 1), (1, None)):
        speaker = speak()
        speaker.hello()
        speaker.events(1)
        speaker.answer_of(Ack)
        speaker.say(Bye(final))
        speaker.say(Drain(1, False))
        speaker.answer_of(Drained)

        assert far_end.spool.last_sequence(speaker.session) == known


def test_no_more_peers_than_are_allowed(far_end: FarEnd, speak: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("moesifasgi.shipper.receiver.peers.MAX_PEERS", 2)
    for _ in range(2):
        assert isinstance(speak().hello(), Welcome)

    third = speak()
    assert isinstance(third.answer(), Refused)
    assert third.is_dropped()


def test_a_peer_that_says_nothing_is_dropped_and_one_that_has_introduced_itself_is_not(
    far_end: FarEnd, speak: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("moesifasgi.shipper.receiver.peers.INTRODUCTION_S", 0.2)
    worker, silent = speak(), speak()
    worker.hello()

    assert silent.is_dropped()
    worker.events(1)
    assert worker.answer_of(Ack) == Ack(1)


def test_a_receiver_that_reads_out_has_stored_and_acknowledged_what_was_sent(path: Path):
    far_end = FarEnd(path)  # Its thread is never started: the test takes the steps.
    with Speaker(path) as speaker:
        hello_while_stepping(far_end, speaker)
        speaker.events(*range(1, 301), payload=bytes(100))
        far_end.receiver.stop_accepting()
        far_end.receiver.read_out(time.monotonic() + 5)

        assert sequences_of(far_end, speaker) == list(range(1, 301))
        assert speaker.answer_of(Ack).sequence > 0
        with pytest.raises(ConnectionRefusedError):
            Speaker(path)
        far_end.receiver.close()
        far_end.kill()


def test_connections_that_end_in_any_way_leave_nothing_behind(
    far_end: FarEnd, path: Path, bystander: Speaker
):
    """T13, in small."""

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for number in range(100):
        with Speaker(path) as speaker:
            if number % 3 == 0:
                speaker.hello()
            elif number % 3 == 1:
                speaker.socket.sendall(struct.pack(">I", 2**31))
    eventually(lambda: descriptors() == before, 2.0, "all have left")
    assert far_end.receiver.status()["peers"]["connected"] == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    garbage=st.lists(st.binary(max_size=60), min_size=1, max_size=5),
    framed=st.booleans(),
    greeted=st.booleans(),
)
def test_random_bytes_do_no_harm(
    far_end: FarEnd, path: Path, garbage: list[bytes], framed: bool, greeted: bool
):
    """T10, T19: fuzz, in frames and without."""
    with Speaker(path) as speaker:
        if greeted:
            speaker.hello()
        for part in garbage:
            with suppress(BrokenPipeError):
                speaker.socket.sendall(frame(part) if framed else part)
    with Speaker(path) as worker:
        assert isinstance(worker.hello(), Welcome)


def hello_of(speaker: Speaker, *application_ids: str) -> None:
    wires = [Application(application_id).to_wire() for application_id in application_ids]
    assert isinstance(speaker.hello(applications=wires), Welcome)


def test_a_policy_comes_behind_the_welcome_under_each_key_of_its_application(far_end: FarEnd, speak: Any):
    far_end.receiver.push("a", b"policy of a")
    far_end.receiver.push("c", b"policy of c")
    speaker = speak()
    hello_of(speaker, "a", "b", "a")

    assert [speaker.answer_of(Policy) for _ in range(2)] == [
        Policy(0, b"policy of a"),
        Policy(2, b"policy of a"),
    ]


def test_a_new_policy_goes_to_all_workers_of_its_application_and_to_no_others(
    far_end: FarEnd, speak: Any, bystander: Speaker
):
    workers = [speak() for _ in range(3)]
    for worker in workers:
        hello_of(worker, "b", "a")
    far_end.receiver.push("a", b"policy of a")

    assert [worker.answer_of(Policy) for worker in workers] == [Policy(1, b"policy of a")] * 3
    bystander.say(StatusRequest())
    assert not isinstance(bystander.answer(), Policy)


def test_a_worker_that_does_not_read_is_not_dropped_for_large_policies_and_hears_the_newest(
    far_end: FarEnd, speak: Any, bystander: Speaker
):
    slow = speak()
    hello_of(slow, "a")
    for number in range(200):
        far_end.receiver.push("a", bytes([number]) * 1_000_000)
    slow.events(1)
    bystander_is_served(bystander)
    eventually(lambda: sequences_of(far_end, slow) == [1], 5.0, "it is served")
    heard = [slow.answer_of(Policy)]
    while heard[-1].document[0] != 199:
        heard.append(slow.answer_of(Policy))

    assert len(heard) <= 3
    assert {len(policy.document) for policy in heard} == {1_000_000}


def test_what_workers_report_of_a_policy_is_gathered_by_application(far_end: FarEnd, speak: Any):
    workers = [speak() for _ in range(2)]
    for worker in workers:
        hello_of(worker, "b", "a")
        worker.say(Report(1, ["r1 is parked", "r2 is parked"]), Report(0, ["r9 is parked"]))
    workers[1].say(Report(1, ["r3 is parked"]))
    wanted = {"a": ["r1 is parked", "r2 is parked", "r3 is parked"], "b": ["r9 is parked"]}
    eventually(lambda: far_end.receiver.reports() == wanted, 2.0, "all is gathered")

    for worker in workers:
        worker.socket.close()
    eventually(lambda: far_end.receiver.reports() == {}, 2.0, "those who left are forgotten")


@pytest.mark.parametrize("key", [1, 2**40])
def test_a_report_on_an_application_that_was_not_named_is_an_offence(far_end: FarEnd, speak: Any, key: int):
    speaker = speak()
    hello_of(speaker, "a")
    speaker.say(Report(key, ["?"]))
    assert speaker.is_dropped()


def test_more_applications_than_there_are_keys_are_an_offence(far_end: FarEnd, speak: Any):
    speaker = speak()
    wires = [Application(f"a{number}").to_wire() for number in range(MAX_KEY + 2)]
    assert speaker.hello(applications=wires) is None


def test_as_many_applications_as_there_are_keys_are_served_with_long_settings(far_end: FarEnd, speak: Any):
    uri, bundle = "https://secure-proxy.example.com/moesif", "/etc/ssl/certs/ca-certificates.crt"
    wires = [
        Application(f"{n:0360}", uri, user_agent_suffix="reports", http_proxy=uri, ca_bundle=bundle).to_wire()
        for n in range(MAX_KEY + 1)
    ]
    assert isinstance(speak().hello(applications=wires), Welcome)


def test_without_descriptors_it_waits_instead_of_spinning_and_serves_who_waited(
    far_end: FarEnd, path: Path, monkeypatch: pytest.MonkeyPatch
):
    rounds = 0
    step = far_end.receiver.step

    def counted(longest_wait_s: float) -> bool:
        nonlocal rounds
        rounds += 1
        return step(longest_wait_s)

    monkeypatch.setattr(far_end.receiver, "step", counted)
    with socket.socket(socket.AF_UNIX) as waiting:
        with no_more_descriptors():
            waiting.connect(str(path))
            began = time.monotonic()
            eventually(lambda: rounds > 10, 5.0, "its rounds go on")
            assert time.monotonic() - began > 0.1
        waiting.settimeout(5.0)
        waiting.sendall(frame(encode(StatusRequest())))
        assert waiting.recv(1 << 16)


def test_while_the_spool_refuses_there_is_a_reason_and_afterwards_none(path: Path):
    spool = MoodySpool()
    spool.refuses = True
    with FarEnd(path, spool) as far_end, Speaker(path) as speaker:
        speaker.hello()
        speaker.events(1)
        (reason,) = eventually(lambda: far_end.receiver.reasons, 5.0, "it says why")
        assert reason == Reason("the spool cannot store events: no space left on device", Advice.DISK)
        spool.refuses = False
        assert speaker.answer_of(Ack) == Ack(1)
        assert far_end.receiver.reasons == []


def test_what_is_dropped_for_want_of_room_is_a_reason_for_a_minute(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    with FarEnd(path, MemorySpool(max_bytes=10)) as far_end, Speaker(path) as speaker:
        speaker.hello()
        assert far_end.receiver.reasons == []
        speaker.events(1, payload=msgpack.packb(os.urandom(1_000)))
        assert speaker.answer_of(Ack) == Ack(1)
        what = "the spool has no room: events were dropped within the last minute"
        reason = Reason(what, Advice.ROOM)
        assert far_end.receiver.reasons == [reason]
        monkeypatch.setattr("moesifasgi.shipper.receiver.commits.DROPS_TOLD_S", 0.0)
        assert far_end.receiver.reasons == []


@pytest.mark.parametrize(("version", "heeded"), [("999.0.0", True), (VERSION, False), ("1.0.0", False)])
def test_only_a_newer_version_may_take_its_place(version: str, heeded: bool, path: Path):
    with FarEnd(path) as far_end, Speaker(path) as speaker:
        speaker.say(Supersede(version))
        if heeded:
            eventually(lambda: far_end.superseded, 5.0, "it is asked to give way")
        else:
            assert isinstance(speaker.answer(), Refused)
            assert not far_end.superseded

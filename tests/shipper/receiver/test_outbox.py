"""What waits for a peer: answers in order, of each application one policy, whole frames only."""

import random

import pytest

from moesifasgi.shipper.receiver.outbox import MAX_ANSWER_BYTES, Outbox
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Ack, Message, Policy, Refused


def taken(outbox: Outbox, size: int) -> bytes:
    """What a kernel gets that takes so many bytes at a time, until nothing waits."""
    stream = bytearray()
    while not outbox.empty:
        piece = b"".join(outbox.next_buffers())[:size]
        outbox.wrote(len(piece))
        stream += piece
    assert not outbox.next_buffers()
    return bytes(stream)


def heard(stream: bytes) -> list[Message]:
    decoder = FrameDecoder()
    decoder.feed(stream)
    return [decode(payload) for payload in iter(decoder.next_payload, None)]


@pytest.mark.parametrize("size", [1, 3, 11, 12, 13, 1000, 1 << 20])
def test_all_arrives_whole_however_little_the_kernel_takes(size: int) -> None:
    outbox = Outbox()
    outbox.answer(Ack(1))
    outbox.policy(0, b"x" * 30)
    outbox.policy(1, b"")
    outbox.answer(Ack(2))
    assert heard(taken(outbox, size)) == [Ack(1), Ack(2), Policy(0, b"x" * 30), Policy(1, b"")]


def test_only_the_newest_policy_of_an_application_waits() -> None:
    outbox = Outbox()
    for number in range(100):
        outbox.policy(number % 2, b"%d" % number)
    assert heard(taken(outbox, 5)) == [Policy(0, b"98"), Policy(1, b"99")]


def test_a_policy_that_has_begun_is_finished_before_anything_else() -> None:
    outbox = Outbox()
    outbox.policy(0, b"older")
    begun = b"".join(outbox.next_buffers())[:7]
    outbox.wrote(7)
    outbox.policy(0, b"newer")
    outbox.answer(Ack(1))
    assert heard(begun + taken(outbox, 4)) == [Policy(0, b"older"), Ack(1), Policy(0, b"newer")]


def test_policies_are_not_counted_as_answers_left_unread() -> None:
    outbox = Outbox()
    outbox.policy(0, bytes(1_000_000))
    outbox.next_buffers()
    outbox.wrote(10)
    outbox.answer(Ack(1))
    assert not outbox.overfull


def test_answers_are_bounded_together_and_one_may_have_any_size() -> None:
    many = Outbox()
    while not many.overfull:
        many.answer(Ack(1))
    waiting = len(many.next_buffers()[0])
    assert MAX_ANSWER_BYTES < waiting <= MAX_ANSWER_BYTES + 20

    large = Outbox()
    large.answer(Refused("x" * 1_000_000))
    assert not large.overfull
    large.answer(Ack(1))
    assert large.overfull
    taken(large, 100_000)
    large.answer(Ack(1))
    assert not large.overfull


def test_a_document_is_shared_and_not_copied() -> None:
    document = bytes(1_000_000)
    outboxes = [Outbox() for _ in range(10)]
    for outbox in outboxes:
        outbox.policy(0, document)
        assert outbox.next_buffers()[1].obj is document  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(50))
def test_in_any_order_of_events_frames_stay_whole_and_the_newest_policy_arrives(seed: int) -> None:
    chance, outbox = random.Random(seed), Outbox()
    stream, answers, newest = bytearray(), 0, dict[int, bytes]()
    for _ in range(300):
        step = chance.random()
        if step < 0.3:
            answers += 1
            outbox.answer(Ack(answers))
        elif step < 0.5:
            key = chance.randrange(3)
            newest[key] = chance.randbytes(chance.randrange(40))
            outbox.policy(key, newest[key])
        elif buffers := outbox.next_buffers():
            piece = b"".join(buffers)[: chance.randrange(30)]
            outbox.wrote(len(piece))
            stream += piece
    messages = heard(bytes(stream) + taken(outbox, 7))
    assert [one.sequence for one in messages if isinstance(one, Ack)] == list(range(1, answers + 1))
    last = {one.key: one.document for one in messages if isinstance(one, Policy)}
    assert last == newest

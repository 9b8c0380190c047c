"""The ring against a plain model: whatever is offered, taken, acknowledged and resumed, in any order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moesifasgi.wire.codec import EVENT_HEADER_BYTES, decode
from moesifasgi.wire.frame import MAX_FRAME_BYTES, PREFIX, FrameDecoder
from moesifasgi.wire.messages import Event
from moesifasgi.wire.ring import Offer, Ring

MAX_EVENTS = 6
MAX_BYTES = 200
OVERHEAD = PREFIX.size + EVENT_HEADER_BYTES


def read(framed: bytes) -> Event:
    decoder = FrameDecoder()
    decoder.feed(framed)
    event = decode(decoder.next_payload() or b"")
    assert isinstance(event, Event)
    assert decoder.buffered_bytes == 0
    return event


class RingMachine(RuleBasedStateMachine):
    """The model: payloads by sequence, how many sequences were given out, and the last one that was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(MAX_EVENTS, MAX_BYTES)
        self.held: dict[int, bytes] = {}
        self.given_out = 0
        self.taken = 0

    @property
    def held_bytes(self) -> int:
        return sum(OVERHEAD + len(payload) for payload in self.held.values())

    def forget(self, sequence: int) -> int:
        old = [held for held in self.held if held <= sequence]
        for held in old:
            del self.held[held]
        return len(old)

    @rule(payload=st.binary(min_size=1, max_size=90))
    def offer(self, payload: bytes) -> None:
        fits = len(self.held) < MAX_EVENTS and self.held_bytes + OVERHEAD + len(payload) <= MAX_BYTES
        fate = self.ring.offer(2, 1, payload)
        assert fate is (Offer.ACCEPTED if fits else Offer.FULL)
        if fits:
            self.given_out += 1
            self.held[self.given_out] = payload

    @rule(max_bytes=st.integers(0, 150), max_frames=st.integers(1, 4))
    def take(self, max_bytes: int, max_frames: int) -> None:
        waiting = [held for held in self.held if held > self.taken]
        taken = self.ring.take(max_bytes, max_frames)
        assert bool(taken) == bool(waiting)
        assert [read(framed) for framed in taken] == [
            Event(2, 1, sequence, self.held[sequence]) for sequence in waiting[: len(taken)]
        ]
        assert len(taken) <= max_frames
        assert len(taken) < 2 or sum(map(len, taken)) <= max_bytes
        self.taken += len(taken)

    @precondition(lambda self: self.given_out == self.taken + 1)
    @rule()
    def take_newest(self) -> None:
        self.taken += 1
        assert read(self.ring.take_newest()) == Event(2, 1, self.taken, self.held[self.taken])

    @rule(back=st.integers(0, 8))
    def acknowledge(self, back: int) -> None:
        sequence = self.taken - back
        assert self.ring.acknowledge(sequence) == self.forget(sequence)

    @rule(ahead=st.integers(1, 3))
    def acknowledge_what_was_not_sent(self, ahead: int) -> None:
        with pytest.raises(ValueError, match="acknowledged"):
            self.ring.acknowledge(self.taken + ahead)

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        last = data.draw(st.integers(-1, self.given_out))
        assert self.ring.resume(last) == self.forget(last)
        self.taken = min(self.held, default=self.given_out + 1) - 1

    @rule(ahead=st.integers(1, 3))
    def resume_after_what_was_never_given_out(self, ahead: int) -> None:
        with pytest.raises(ValueError, match="resumed"):
            self.ring.resume(self.given_out + ahead)

    @precondition(lambda self: len(self.held) == MAX_EVENTS)
    @rule()
    def full_refuses_the_newest_and_keeps_the_rest(self) -> None:
        assert self.ring.offer(2, 1, b"\xc0") is Offer.FULL

    @invariant()
    def is_as_the_model_says(self) -> None:
        assert len(self.ring) == len(self.held)
        assert self.ring.bytes == self.held_bytes <= MAX_BYTES
        assert self.ring.base == min(self.held, default=self.given_out + 1)
        assert self.ring.next == self.given_out + 1
        assert self.ring.has_unsent == (self.given_out > self.taken)


RingMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestRing = RingMachine.TestCase


def test_a_frame_over_the_wires_limit_is_refused_as_too_large_and_takes_no_sequence():
    ring = Ring(10, 2 * MAX_FRAME_BYTES)
    largest = bytes(MAX_FRAME_BYTES - EVENT_HEADER_BYTES)

    assert ring.offer(0, 0, largest + b"x") is Offer.TOO_LARGE
    assert ring.offer(0, 0, largest) is Offer.ACCEPTED
    assert ring.next == 2


def test_the_bound_in_bytes_counts_whole_frames():
    two = 2 * (OVERHEAD + 1)
    exact, short = Ring(10, two), Ring(10, two - 1)

    assert [exact.offer(0, 0, b"\x01") for _ in range(3)] == [Offer.ACCEPTED, Offer.ACCEPTED, Offer.FULL]
    assert [short.offer(0, 0, b"\x01") for _ in range(2)] == [Offer.ACCEPTED, Offer.FULL]

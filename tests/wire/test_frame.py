"""Cutting a byte stream into payloads, wherever it is cut, within a bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.wire.frame import MAX_FRAME_BYTES, PREFIX, FrameDecoder, FrameTooLarge, frame


def payloads_of(decoder: FrameDecoder) -> list[bytes]:
    return list(iter(decoder.next_payload, None))


@given(st.lists(st.binary(max_size=60), max_size=12), st.lists(st.integers(1, 50), min_size=1))
def test_a_stream_cut_anywhere_gives_the_same_payloads(payloads: list[bytes], sizes: list[int]):
    stream = b"".join(map(frame, payloads))
    decoder, found, start, turn = FrameDecoder(), [], 0, 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        decoder.feed(stream[start : start + size])
        found += payloads_of(decoder)
        start, turn = start + size, turn + 1

    assert found == payloads
    assert decoder.buffered_bytes == 0


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_payloads_may_be_taken_late(payloads: list[bytes]):
    decoder = FrameDecoder()
    for payload in payloads:
        decoder.feed(memoryview(frame(payload)))

    assert payloads_of(decoder) == payloads


def test_an_oversized_frame_is_refused_from_its_length_alone():
    decoder = FrameDecoder(max_frame_bytes=10)
    decoder.feed(PREFIX.pack(11))

    with pytest.raises(FrameTooLarge, match="11 bytes; the limit is 10"):
        decoder.next_payload()
    assert decoder.buffered_bytes == PREFIX.size


def test_a_frame_of_exactly_the_limit_passes():
    decoder = FrameDecoder(max_frame_bytes=10)
    decoder.feed(frame(b"x" * 10))

    assert decoder.next_payload() == b"x" * 10


def test_after_an_oversized_frame_nothing_is_believed_any_more():
    decoder = FrameDecoder(max_frame_bytes=10)
    decoder.feed(frame(b"first") + PREFIX.pack(2**32 - 1) + frame(b"looks fine"))

    assert decoder.next_payload() == b"first"
    for _ in range(2):
        with pytest.raises(FrameTooLarge):
            decoder.next_payload()


def test_what_was_taken_is_not_kept():
    decoder = FrameDecoder()
    for _ in range(100):
        decoder.feed(frame(b"x" * 1000))
        decoder.next_payload()
    decoder.feed(b"\0")

    assert decoder.buffered_bytes == 1


def test_the_default_limit_is_four_mebibytes():
    decoder = FrameDecoder()
    decoder.feed(PREFIX.pack(MAX_FRAME_BYTES))
    assert decoder.next_payload() is None

    decoder = FrameDecoder()
    decoder.feed(PREFIX.pack(MAX_FRAME_BYTES + 1))
    with pytest.raises(FrameTooLarge):
        decoder.next_payload()

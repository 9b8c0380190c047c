"""Streams cut into pieces and put together again, whatever comes between them."""

import select

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.wire.frame import PREFIX
from moesifasgi.wire.messages import SESSION_BYTES
from moesifasgi.wire.pieces import MAX_PIECE_BYTES, MAX_STREAM, PUT_BYTES, ROOM_BYTES, head, split

SESSIONS = st.binary(min_size=SESSION_BYTES, max_size=SESSION_BYTES)


def test_a_put_is_what_the_kernel_writes_whole():
    assert PUT_BYTES <= select.PIPE_BUF
    assert len(head(bytes(SESSION_BYTES), 1)) + ROOM_BYTES + PREFIX.size == PUT_BYTES
    assert MAX_PIECE_BYTES + PREFIX.size == PUT_BYTES


@given(SESSIONS, st.integers(0, MAX_STREAM), st.binary(min_size=1, max_size=ROOM_BYTES))
def test_a_piece_says_whose_it_is(session: bytes, stream: int, data: bytes):
    assert split(head(session, stream) + data) == (session, stream, data)


def test_a_stream_beyond_the_last_number_begins_anew():
    assert split(head(bytes(SESSION_BYTES), MAX_STREAM + 1) + b"x")[1] == 0


@pytest.mark.parametrize("size", [0, 1, SESSION_BYTES, SESSION_BYTES + 4])
def test_a_piece_without_a_byte_of_its_stream_is_none(size: int):
    with pytest.raises(ValueError, match="longer than its head"):
        split(bytes(size))

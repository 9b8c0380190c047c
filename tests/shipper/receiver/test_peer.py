"""One connection seen from the shipper: answers go out as the kernel takes them, whole and in order."""

import os
import socket
from collections.abc import Iterator

import pytest

from moesifasgi.shipper.receiver.peer import Peer
from moesifasgi.wire.codec import decode, encode
from moesifasgi.wire.frame import FrameDecoder, frame
from moesifasgi.wire.messages import Ack, Message, StatusReply


@pytest.fixture
def ends() -> Iterator[tuple[Peer, socket.socket]]:
    near, far = socket.socketpair()
    near.settimeout(5.0)
    with near, far:
        yield Peer(far, 0.0), near


def test_an_answer_that_the_kernel_takes_in_part_arrives_whole(ends: tuple[Peer, socket.socket]):
    peer, near = ends
    reply = StatusReply({"reasons": ["x" * 900_000]})
    peer.tell(reply)
    peer.tell(Ack(1))
    assert peer.wants_write

    decoder, heard = FrameDecoder(), list[Message]()
    while len(heard) < 2:
        decoder.feed(near.recv(1 << 16))
        heard += map(decode, iter(decoder.next_payload, None))
        peer.flush()
    assert heard == [reply, Ack(1)]
    assert not peer.wants_write


def test_a_peer_is_overdue_with_more_unread_than_it_may_leave(ends: tuple[Peer, socket.socket]):
    peer, _ = ends
    peer.tell(Ack(1))
    assert not peer.overdue

    peer.tell(StatusReply({"reasons": ["x" * 900_000]}))
    assert not peer.overdue, "one answer may be as large as it is"
    peer.tell(StatusReply({"reasons": ["x" * 900_000]}))
    assert peer.overdue


def test_a_peer_that_has_left_is_told_nothing_and_read_to_its_end(ends: tuple[Peer, socket.socket]):
    peer, near = ends
    near.sendall(frame(encode(Ack(5))))
    near.close()
    for _ in range(3):
        peer.tell(Ack(1))
    assert not peer.wants_write

    assert peer.read()
    assert peer.next_message() == Ack(5)
    assert not peer.read()


def test_the_kernel_says_who_is_at_the_other_end(ends: tuple[Peer, socket.socket]):
    peer, _ = ends

    assert peer.credentials() == (os.getpid(), os.geteuid(), os.getegid())

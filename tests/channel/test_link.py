"""One connection seen from the worker: the handshake, partial writes, and an end that says why."""

import socket
from collections.abc import Iterator

import pytest

from moesifasgi.channel.link import MAX_BUFFERS, Link, LinkError
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import PREFIX, frame
from moesifasgi.wire.messages import Ack, Hello, Message, Refused, Welcome

HELLO = Hello(1, 1, b"s" * 16, 1, 1, "0", [])
WELCOME = Welcome(1, 7, 1, "0")


def said(message: Message) -> bytes:
    return frame(encode(message))


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    far.settimeout(5.0)
    with near, far:
        yield near, far


Ends = tuple[socket.socket, socket.socket]


def test_a_handshake_says_hello_and_waits_for_welcome(ends: Ends):
    near, far = ends
    far.sendall(said(WELCOME))

    assert Link(near, HELLO).welcome == WELCOME
    assert far.recv(1 << 16) == said(HELLO)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said(Refused("user id 7 is not allowed")), "refused: user id 7 is not allowed"),
        (said(Ack(1)), "did not answer HELLO with WELCOME"),
        (frame(b"\xc1"), "does not speak this wire"),
        (PREFIX.pack(2**31), "does not speak this wire"),
        (said(WELCOME)[:-1], "closed the connection"),
    ],
)
def test_an_end_that_does_not_welcome_says_why(ends: Ends, answer: bytes, why: str):
    near, far = ends
    far.sendall(answer)
    far.shutdown(socket.SHUT_WR)

    with pytest.raises(LinkError, match=why):
        Link(near, HELLO)


def test_what_the_kernel_does_not_take_follows_later_in_order(ends: Ends):
    near, far = ends
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    far.sendall(said(WELCOME))
    link = Link(near, HELLO)
    far.recv(1 << 16)
    parts = [bytes([65 + number % 26]) * (number * 100) for number in range(MAX_BUFFERS + 10)]
    link.write(parts)
    assert not link.idle

    got = b""
    while len(got) < sum(map(len, parts)):
        got += far.recv(1 << 16)
        link.write(())
    assert got == b"".join(parts)
    assert link.idle


def test_messages_may_come_in_pieces_and_together(ends: Ends):
    near, far = ends
    stream = said(Ack(1)) + said(Ack(2)) + said(Ack(3))
    far.sendall(said(WELCOME) + stream[:2])
    link = Link(near, HELLO)

    assert link.decoded() == []
    far.sendall(stream[2:-1])
    assert link.read() == [Ack(1), Ack(2)]
    far.sendall(stream[-1:])
    assert link.read() == [Ack(3)]
    assert link.read() == []


def test_an_end_that_has_left_breaks_the_link_and_raises_nothing_at_a_write(ends: Ends):
    near, far = ends
    far.sendall(said(WELCOME))
    link = Link(near, HELLO)
    far.close()

    link.write((b"x",))
    assert link.broken
    with pytest.raises(OSError):
        link.read()


def test_an_end_that_refuses_before_it_has_heard_hello_is_still_understood(ends: Ends):
    near, far = ends
    far.sendall(said(Refused("user id 7 is not allowed")))
    far.close()

    with pytest.raises(LinkError, match="refused: user id 7 is not allowed"):
        Link(near, HELLO)

"""What a tool asks a running shipper over its socket: its status, or to deliver now."""

import contextlib
import socket
from pathlib import Path
from typing import Any

from moesifasgi.unix_socket import connected
from moesifasgi.version import VERSION
from moesifasgi.wire.codec import decode, encode
from moesifasgi.wire.frame import FrameDecoder, frame
from moesifasgi.wire.messages import Drain, Drained, Message, Refused, StatusReply, StatusRequest, Supersede

READ_BYTES = 64 * 1024


class NoShipper(Exception):
    """Nobody answers at the socket, or not as a shipper does; the text says what was found."""


def ask_status(path: Path, timeout_s: float = 5.0) -> dict[str, Any]:
    """The status document (``interface.md``). Raises NoShipper."""
    try:
        answer = _ask(path, StatusRequest(), timeout_s)
    except TimeoutError as error:
        raise NoShipper(f"{path}: no answer within {timeout_s:g} s") from error
    if not isinstance(answer, StatusReply):
        raise NoShipper(f"{path}: expected a status, got {type(answer).__name__}")
    return answer.status


def ask_flush(path: Path, timeout_s: float) -> Drained:
    """Have everything received so far delivered, and wait for it. Raises NoShipper, TimeoutError."""
    answer = _ask(path, Drain(1, give_up=False), timeout_s)
    if not isinstance(answer, Drained):
        raise NoShipper(f"{path}: expected the answer to a drain, got {type(answer).__name__}")
    return answer


def ask_to_give_way(path: Path, timeout_s: float) -> None:
    """Have an embedded shipper leave for a newer version's; returns when it has, or when the time is over."""
    # It does not answer: that it closes the connection is its answer.
    with contextlib.suppress(NoShipper, TimeoutError):
        _ask(path, Supersede(VERSION), timeout_s)


def _ask(path: Path, question: Message, timeout_s: float) -> Message:
    try:
        with connected(path, timeout_s) as shipper:
            # Who is refused at once may find the connection closed; what was said before can still be read.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                shipper.sendall(frame(encode(question)))
            answer = _answer(shipper)
    except TimeoutError:
        raise
    except (OSError, ValueError) as error:
        raise NoShipper(f"{path}: {error}") from error
    if isinstance(answer, Refused):
        raise NoShipper(f"{path}: the shipper refused: {answer.reason}")
    return answer


def _answer(shipper: socket.socket) -> Message:
    decoder = FrameDecoder()
    while (payload := decoder.next_payload()) is None:
        data = shipper.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the shipper closed the connection")
        decoder.feed(data)
    return decode(payload)

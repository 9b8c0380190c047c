"""What a tool asks a running shipper over its socket: its status, or to deliver now."""

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from moesifasgi.unix_socket import connected
from moesifasgi.version import VERSION
from moesifasgi.wire.codec import decode, encode
from moesifasgi.wire.frame import FrameDecoder, frame
from moesifasgi.wire.messages import (
    Drain,
    Drained,
    Leaving,
    Message,
    Refused,
    StatusReply,
    StatusRequest,
    Supersede,
    TakeOver,
)

READ_BYTES = 64 * 1024
ANSWERS_IN_S = 5.0
WAIT_S = 0.25
"""Between two calls of who wants to know that it still takes."""
Answer = TypeVar("Answer")
OnWait = Callable[[], None]


class NoShipper(Exception):
    """Nobody answers at the socket, or not as a shipper does; the text says what was found."""


def ask_status(path: Path, timeout_s: float = ANSWERS_IN_S) -> dict[str, Any]:
    """The status document, as ``status --json`` prints it. Raises NoShipper."""
    return ask(path, StatusRequest(), StatusReply, timeout_s).status


def ask_to_leave(path: Path) -> int:
    """Have the shipper leave for another one that takes over; returns its pid. Raises NoShipper."""
    return ask(path, TakeOver(), Leaving).pid


def ask(path: Path, question: Message, kind: type[Answer], timeout_s: float = ANSWERS_IN_S) -> Answer:
    """The answer to a question, which is of this kind. Raises NoShipper."""
    try:
        answer = _ask(path, question, timeout_s)
    except TimeoutError as error:
        raise NoShipper(f"{path}: no answer within {timeout_s:g} s") from error
    if not isinstance(answer, kind):
        raise NoShipper(f"{path}: expected {kind.__name__}, got {type(answer).__name__}")
    return answer


def ask_flush(path: Path, timeout_s: float, on_wait: OnWait | None = None) -> Drained:
    """Have everything received so far delivered, and wait for it. Raises NoShipper, TimeoutError.

    ``on_wait`` is called now and then meanwhile.
    """
    answer = _ask(path, Drain(1, give_up=False), timeout_s, on_wait)
    if not isinstance(answer, Drained):
        raise NoShipper(f"{path}: expected the answer to a drain, got {type(answer).__name__}")
    return answer


def ask_to_give_way(path: Path, timeout_s: float) -> None:
    """Have an embedded shipper leave for a newer version's; returns when it has, or when the time is over."""
    # It does not answer: that it closes the connection is its answer.
    with contextlib.suppress(NoShipper, TimeoutError):
        _ask(path, Supersede(VERSION), timeout_s)


def _ask(path: Path, question: Message, timeout_s: float, on_wait: OnWait | None = None) -> Message:
    try:
        with connected(path, timeout_s) as shipper:
            # Who is refused at once may find the connection closed; what was said before can still be read.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                shipper.sendall(frame(encode(question)))
            answer = _answer(shipper, time.monotonic() + timeout_s, on_wait)
    except TimeoutError:
        raise
    except (OSError, ValueError) as error:
        raise NoShipper(f"{path}: {error}") from error
    if isinstance(answer, Refused):
        raise NoShipper(f"{path}: the shipper refused: {answer.reason}")
    return answer


def _answer(shipper: socket.socket, deadline: float, on_wait: OnWait | None) -> Message:
    """The first message. TimeoutError after the deadline, in monotonic seconds."""
    decoder = FrameDecoder()
    while (payload := decoder.next_payload()) is None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        shipper.settimeout(left_s if on_wait is None else min(left_s, WAIT_S))
        try:
            data = shipper.recv(READ_BYTES)
        except TimeoutError:
            if on_wait is not None:
                on_wait()
            continue
        if not data:
            raise ConnectionError("the shipper closed the connection")
        decoder.feed(data)
    return decode(payload)

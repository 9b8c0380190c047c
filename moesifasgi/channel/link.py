"""One connection to a shipper, seen from the worker: whole frames in, as much as the kernel takes out."""

import contextlib
import socket
from collections.abc import Sequence
from typing import Protocol

from moesifasgi.wire.codec import decode, encode
from moesifasgi.wire.frame import FrameDecoder, frame
from moesifasgi.wire.messages import OLDEST_WIRE_VERSION, Hello, Message, Refused, Welcome

HANDSHAKE_TIMEOUT_S = 30.0
"""How long WELCOME may take. A stopped shipper holds its connections in the kernel: reconnecting sooner would
only fill its backlog, and a dead one ends them at once."""
READ_BYTES = 64 * 1024
MAX_BUFFERS = 64
"""Frames in one ``sendmsg``; well below IOV_MAX."""


class LinkError(ConnectionError):
    """The other end is no shipper, or none that serves this worker."""


class Outlet(Protocol):
    """What takes a worker's events: a Link, or a stream of the queue."""

    @property
    def broken(self) -> bool:
        """It takes nothing any more."""

    @property
    def idle(self) -> bool:
        """Nothing half-sent: a whole frame may be written."""

    def fileno(self) -> int:
        """To wait until there is room."""

    def write_one(self, framed: bytes) -> bool:
        """``write`` for one frame while the outlet is idle; True if it was taken whole."""

    def write(self, buffers: Sequence[bytes]) -> None:
        """Write what is taken without waiting, and keep the rest. Never raises: see ``broken``."""


class OlderShipper(LinkError):
    """It speaks no version of the wire that this worker does, only older ones."""


class Link:
    """A connected socket after HELLO and WELCOME, and the rest of a frame that the kernel took in part."""

    __slots__ = ("_decoder", "_pending", "_socket", "broken", "welcome")

    def __init__(self, connected: socket.socket, hello: Hello) -> None:
        """Introduce the worker; waits for WELCOME. OSError (LinkError) where that does not come."""
        self._socket = connected
        self._decoder = FrameDecoder()
        self._pending = b""
        self.broken = False
        connected.settimeout(HANDSHAKE_TIMEOUT_S)
        # Who is refused at once may find the connection closed; what was said before can still be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connected.sendall(frame(encode(hello)))
        self.welcome = self._await_welcome()
        connected.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def idle(self) -> bool:
        """Nothing half-sent: a whole frame may be written."""
        return not self._pending and not self.broken

    def write_one(self, framed: bytes) -> bool:
        """``write`` for one frame while the link is idle; True if the kernel took it whole."""
        try:
            sent = self._socket.send(framed)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.broken = True
            return False
        if sent == len(framed):
            return True
        self._pending = framed[sent:]
        return False

    def write(self, buffers: Sequence[bytes]) -> None:
        """Give the kernel what it takes without waiting, and keep the rest. Never raises: see ``broken``."""
        if self._pending:
            buffers = [self._pending, *buffers]
        try:
            sent = self._socket.sendmsg(buffers[:MAX_BUFFERS])
        except BlockingIOError:
            sent = 0
        except OSError:
            self.broken = True
            return
        self._pending = _rest(buffers, sent)

    def decoded(self) -> list[Message]:
        """The messages in what was read already: the first may have come together with WELCOME."""
        messages = []
        try:
            while (payload := self._decoder.next_payload()) is not None:
                messages.append(decode(payload))
        except ValueError as error:
            raise _nonsense(error) from error
        return messages

    def read(self) -> list[Message]:
        """What has arrived, without waiting. OSError where the other end is gone or talks nonsense."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise LinkError("the shipper closed the connection")
        self._decoder.feed(data)
        return self.decoded()

    def close(self) -> None:
        self.broken = True
        self._socket.close()

    def _await_welcome(self) -> Welcome:
        while True:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise LinkError("the shipper closed the connection during the handshake")
            self._decoder.feed(data)
            try:
                payload = self._decoder.next_payload()
                answer = decode(payload) if payload is not None else None
            except ValueError as error:
                raise _nonsense(error) from error
            if answer is None:
                continue
            if isinstance(answer, Refused):
                older = answer.newest_version < OLDEST_WIRE_VERSION
                raise (OlderShipper if older else LinkError)(f"the shipper refused: {answer.reason}")
            if not isinstance(answer, Welcome):
                raise LinkError("the other end did not answer HELLO with WELCOME")
            return answer


def _nonsense(error: ValueError) -> LinkError:
    return LinkError(f"the other end does not speak this wire: {error}")


def _rest(buffers: Sequence[bytes], sent: int) -> bytes:
    """What of ``buffers`` lies behind the first ``sent`` bytes."""
    for index, buffer in enumerate(buffers):
        if sent < len(buffer):
            return b"".join([buffer[sent:], *buffers[index + 1 :]])
        sent -= len(buffer)
    return b""

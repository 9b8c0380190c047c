"""A worker's socket that a test can tear after any byte."""

import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Event


class TearableSocket(socket.socket):
    """A worker's socket that can be torn after any byte, and remembers which events left the worker."""

    def __init__(self, path: Path, far_end: object, serve: Callable[[], None]) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.far_end = far_end
        """Who listened when it was made; dead perhaps, and the worker does not know it yet."""
        self._serve = serve
        self._decoder = FrameDecoder()
        self._left_bytes: int | None = None
        self._sent: list[bytes] = []
        self.connect(str(path))

    def tear_after(self, count: int) -> None:
        """Let ``count`` more bytes through; then the connection is gone."""
        self._left_bytes = count
        if not count:
            self._tear()

    def events_sent(self) -> list[Event]:
        """The events that the kernel has taken whole."""
        while (payload := self._decoder.next_payload()) is not None:
            self._sent.append(payload)
        return [event for event in map(decode, self._sent) if isinstance(event, Event)]

    def send(self, data: Any, flags: int = 0) -> int:
        part = bytes(data) if self._left_bytes is None else bytes(data)[: self._left_bytes]
        sent = super().send(part, flags)
        self._decoder.feed(part[:sent])
        if self._left_bytes is not None:
            self._left_bytes -= sent
            if not self._left_bytes:
                self._tear()
        return sent

    def sendmsg(self, buffers: Any, *_: Any) -> int:
        return self.send(b"".join(buffers))

    def sendall(self, data: Any, flags: int = 0) -> None:
        while data:
            data = data[self.send(data) :]

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self.gettimeout() and not select.select([self], [], [], 0)[0]:
            self._serve()  # The handshake waits for its answer, so now is the shipper's turn.
            if not select.select([self], [], [], 0)[0]:
                raise TimeoutError("no answer")
        return super().recv(size, flags)

    def _tear(self) -> None:
        self.shutdown(socket.SHUT_RDWR)

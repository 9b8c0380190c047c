"""Queues for tests: to a shipper that listens, one that nobody reads, and one whose shippers come and go."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from multiprocess import get_context

from moesifasgi.channel.launcher import ShipperOptions
from moesifasgi.channel.queue import Writer
from moesifasgi.channel.started import ShipperHandle
from moesifasgi.shipper.receiver.unix import Receiver
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Event
from moesifasgi.wire.pieces import split

SMALL_BYTES = 8_192
"""A pipe of two pieces: it is full all along, so that frames are put in parts."""


@contextmanager
def queue_to(directory: Path) -> Iterator[ShipperHandle]:
    """A queue to the shipper of this state directory, which has to listen there."""
    handle = ShipperHandle(str(directory), ShipperOptions())
    handle.start()
    assert handle.writer is not None, "no queue to the shipper"
    try:
        yield handle
    finally:
        handle.close()


class UnreadQueue:
    """A queue whose read end the test has: what is put there stays, until ``desert``."""

    def __init__(self) -> None:
        self.reader, self.writer = get_context("spawn").Pipe(duplex=False)
        os.set_blocking(self.writer.fileno(), False)

    def desert(self) -> None:
        """The last reader is gone."""
        self.reader.close()

    def close(self) -> None:
        """Both ends. May be called twice."""
        self.reader.close()
        self.writer.close()


class SteppedQueue:
    """A queue for one receiver after another, which knows what was put for the present one."""

    def __init__(self) -> None:
        self.writer: Writer | None = None
        self._put: dict[bytes, tuple[int, FrameDecoder]] = {}
        """By session: its newest stream, and what of it the pipe has taken."""

    def attach_to(self, receiver: Receiver) -> None:
        """A new pipe, in place of the one before."""
        self.close()
        reader, writer = get_context("spawn").Pipe(duplex=False)
        with reader:
            os.set_blocking(writer.fileno(), False)
            fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, SMALL_BYTES)
            assert not receiver.attach(os.dup(reader.fileno()), os.geteuid())
        self._put.clear()
        self.writer = _Recorded(writer, self._took)

    def events_put(self, session: bytes) -> list[Event]:
        """What the pipe has taken whole of this session's newest stream."""
        _, decoder = self._put.get(session, (0, FrameDecoder()))
        found = []
        while (payload := decoder.next_payload()) is not None:
            found.append(decode(payload))
        return [event for event in found if isinstance(event, Event)]

    def close(self) -> None:
        """May be called twice."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _took(self, piece: bytes) -> None:
        session, stream, data = split(piece)
        newest, decoder = self._put.get(session, (0, FrameDecoder()))
        if stream != newest:
            decoder = FrameDecoder()
        decoder.feed(data)
        self._put[session] = stream, decoder


class _Recorded:
    """A write end that tells what it has written."""

    def __init__(self, writer: Writer, took: Callable[[bytes], None]) -> None:
        self._writer = writer
        self._took = took
        self.fileno = writer.fileno
        self.close = writer.close

    def send_bytes(self, buf: bytes) -> None:
        self._writer.send_bytes(buf)
        self._took(buf)

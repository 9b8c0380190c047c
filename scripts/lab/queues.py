"""Queues for tests: one to a shipper that listens already, and one that nobody reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multiprocess import get_context

from moesifasgi.channel.launcher import ShipperOptions
from moesifasgi.channel.started import ShipperHandle


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

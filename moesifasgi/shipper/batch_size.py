"""How large the batches of a lane are: in items as the application says, in bytes as far as they get through.

Pure.
"""

from moesifasgi.shipper.batch import Batch
from moesifasgi.shipper.payload import MAX_UPLOAD_BYTES
from moesifasgi.wire.application import Application

START_BATCH_SIZE = 25
"""Items that fill a batch where the application names no size; the published package's default."""
MAX_BATCH_SIZE = 200
"""What such a batch may grow to while there is a backlog of two."""
MIN_UPLOAD_BYTES = 64 * 1024
"""Whatever a proxy refuses as too large, batches are not made smaller than this ahead of time."""


def filling(application: Application) -> int:
    """Items that a batch does not wait to have more of."""
    return max(1, application.batch_size or START_BATCH_SIZE)


def most_items(application: Application, waiting: int) -> int:
    """Most items of the next batch, where so many wait."""
    if application.batch_size or waiting < 2 * START_BATCH_SIZE:
        return filling(application)
    return MAX_BATCH_SIZE


class UploadBytes:
    """Most bytes of an upload: less after one was too large, more again with each that is delivered."""

    def __init__(self) -> None:
        self.most = MAX_UPLOAD_BYTES

    def delivered(self) -> None:
        self.most = min(MAX_UPLOAD_BYTES, self.most + MIN_UPLOAD_BYTES)

    def too_large(self, batch: Batch) -> None:
        half = sum(map(len, batch.bodies)) // 2
        self.most = max(MIN_UPLOAD_BYTES, min(self.most, half))


def may_be_smaller(batch: Batch) -> bool:
    """Whether halves of it make sense."""
    return len(batch.entries) > 1 and sum(map(len, batch.bodies)) > MIN_UPLOAD_BYTES

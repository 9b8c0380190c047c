"""A spool with a backlog, made at once: the same few chunks of recorded calls over and over."""

import os

from lab.corpus import orders
from moesifasgi.shipper.intake import CHUNK_ITEMS
from moesifasgi.shipper.spool import Chunk, Item, Lane, Spool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

CHUNKS_AT_ONCE = 50
_DIFFERENT_CHUNKS = 10


class Filler:
    """Appends events of one application, as one worker process would have sent them."""

    def __init__(self, spool: Spool, application: Application) -> None:
        self._spool = spool
        self._lane = Lane(application.application_id, "events")
        self._session = os.urandom(16)
        self._sequence = 0
        items = [Item(Kind.RECORD, payload) for _, payload in orders(_DIFFERENT_CHUNKS * CHUNK_ITEMS)]
        self._bodies = [
            tuple(items[start : start + CHUNK_ITEMS]) for start in range(0, len(items), CHUNK_ITEMS)
        ]
        spool.remember(application)

    def append(self, count: int) -> None:
        """So many events more."""
        while count > 0:
            chunks = []
            while count > 0 and len(chunks) < CHUNKS_AT_ONCE:
                chunks.append(self._chunk(min(count, CHUNK_ITEMS)))
                count -= CHUNK_ITEMS
            self._spool.append(chunks, {self._session: self._sequence})

    def _chunk(self, size: int) -> Chunk:
        first = self._sequence + 1
        self._sequence += size
        items = self._bodies[first % len(self._bodies)][:size]
        return Chunk(self._lane, self._session, tuple(range(first, first + size)), items)

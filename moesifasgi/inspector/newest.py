"""The newest items of one stream, for people to look at. Plain values; the store holds the lock."""

from collections import deque
from typing import NamedTuple

MAX_KEPT_BYTES = 64 * 1024 * 1024
"""JSON of all items that are kept."""


class Kept(NamedTuple):
    """One of the newest items."""

    application_id: str
    at: float
    identity: bytes | None
    raw: bytes


class Newest:
    """A deque of Kept, bounded in items and bytes."""

    def __init__(self, max_items: int) -> None:
        self.items: deque[Kept] = deque()
        self._max_items = max_items
        self._bytes = 0

    def add(self, kept: Kept) -> None:
        self.items.append(kept)
        self._bytes += len(kept.raw)
        while len(self.items) > self._max_items or self._bytes > MAX_KEPT_BYTES:
            self._bytes -= len(self.items.popleft().raw)

"""What delivery holds of the spool: chunks whose items await their fates, and batches of those items."""

from collections import Counter
from dataclasses import dataclass

from moesifasgi.shipper.spool import DeadLetter, Item, Settlement, StoredChunk


class OpenChunk:
    """A chunk and the fates of its items so far. ``read_at`` is monotonic, in seconds."""

    __slots__ = ("_dead_letters", "_delivered", "_dropped", "bytes", "left", "read_at", "stored")

    def __init__(self, stored: StoredChunk, read_at: float) -> None:
        self.stored = stored
        self.read_at = read_at
        self.bytes = sum(len(item.payload) for item in stored.items)
        self.left = len(stored.items)
        """Items without a fate."""
        self._delivered = 0
        self._dead_letters: list[DeadLetter] = []
        self._dropped: Counter[str] = Counter()

    def deliver(self) -> None:
        self._delivered += 1
        self.left -= 1

    def drop(self, reason: str) -> None:
        self._dropped[reason] += 1
        self.left -= 1

    def dead_letter(self, index: int, code: str, reason: str) -> None:
        stored, item = self.stored, self.stored.items[index]
        letter = DeadLetter(stored.session, stored.sequences[index], item.kind, item.payload, code, reason)
        self._dead_letters.append(letter)
        self.left -= 1

    def settlement(self) -> Settlement:
        return Settlement(self.stored.row, self._delivered, tuple(self._dead_letters), dict(self._dropped))


@dataclass(slots=True)
class Entry:
    """One item of an open chunk; ``body`` is its JSON once it was encoded."""

    chunk: OpenChunk
    index: int
    body: bytes = b""

    @property
    def item(self) -> Item:
        return self.chunk.stored.items[self.index]


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into one upload, in order."""

    entries: tuple[Entry, ...]
    retry: bool = False
    """It was uploaded before as it is, without success."""
    copied: bool = False
    """What becomes of it is not the fate of its entries, which keep their place."""
    failures: int = 0
    """How often in a row it got no answer, or one that says nothing of its content."""
    doubted_at: float = float("inf")
    """When it had failed so often that something else should be tried (monotonic)."""
    failed_alone: int = 0
    """How often it failed though others were delivered after it was doubted."""
    not_before: float = float("-inf")
    """It is not tried again before then (monotonic)."""

    @property
    def bodies(self) -> list[bytes]:
        return [entry.body for entry in self.entries]

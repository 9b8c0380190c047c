"""What a lane holds of the spool, and the fates of it. Pure.

A chunk is settled when each of its items has a fate; until then its row stays in the spool, so whatever
happens to this process, nothing is lost.
"""

from moesifasgi.shipper.batch import Entry, OpenChunk
from moesifasgi.shipper.spool import Settlement


class Held:
    """The chunks that were read and are not settled yet."""

    def __init__(self) -> None:
        self.items = 0
        self.bytes = 0
        self._open: dict[int, OpenChunk] = {}
        self._decided: list[OpenChunk] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def oldest_row(self) -> int | None:
        return min(self._open, default=None)

    @property
    def has_decided(self) -> bool:
        """There is something to settle."""
        return bool(self._decided)

    def take(self, chunk: OpenChunk) -> None:
        """It was read."""
        self._open[chunk.stored.row] = chunk
        self.items += chunk.left
        self.bytes += chunk.bytes
        self._note(chunk)

    def forget(self, chunk: OpenChunk) -> None:
        """It will be read again, or is settled."""
        del self._open[chunk.stored.row]
        self.items -= len(chunk.stored.items)
        self.bytes -= chunk.bytes

    def deliver(self, entry: Entry) -> None:
        entry.chunk.deliver()
        self._note(entry.chunk)

    def drop(self, entry: Entry, reason: str) -> None:
        entry.chunk.drop(reason)
        self._note(entry.chunk)

    def dead_letter(self, entry: Entry, code: str, reason: str) -> None:
        entry.chunk.dead_letter(entry.index, code, reason)
        self._note(entry.chunk)

    def settlements(self) -> list[Settlement]:
        """Of all chunks whose items have their fates; the same again until ``settled``."""
        return [chunk.settlement() for chunk in self._decided]

    def settled(self) -> None:
        """The spool has taken the settlements."""
        for chunk in self._decided:
            self.forget(chunk)
        self._decided = []

    def _note(self, chunk: OpenChunk) -> None:
        if not chunk.left:
            self._decided.append(chunk)

"""Whether an item can be uploaded now; one that never can has its fate with the answer. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from moesifasgi.shipper.batch import Batch, Entry
from moesifasgi.shipper.held import Held
from moesifasgi.shipper.payload import Unserialisable
from moesifasgi.shipper.spool import Item

Encode = Callable[[Item], bytes]
"""An item as JSON. Raises Unserialisable."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Judges entries of what is held, at one moment."""

    held: Held
    encode: Encode
    expires_before: float
    """What was appended before (wall clock) is too old to be delivered."""

    def admits(self, entry: Entry) -> bool:
        """Whether it can be uploaded; it is encoded then."""
        if self._expired(entry):
            return False
        try:
            entry.body = entry.body or self.encode(entry.item)
        except Unserialisable as error:
            self.held.dead_letter(entry, error.code, error.reason)
            return False
        return True

    def rest_of(self, batch: Batch) -> Batch | None:
        """What of a batch that came back is not too old by now."""
        kept = tuple(entry for entry in batch.entries if not self._expired(entry))
        if len(kept) == len(batch.entries):
            return batch
        return replace(batch, entries=kept) if kept else None

    def _expired(self, entry: Entry) -> bool:
        if entry.chunk.stored.appended_at >= self.expires_before:
            return False
        self.held.drop(entry, "expired")
        return True

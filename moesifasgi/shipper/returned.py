"""Batches that came back without success: which is tried next, and when a batch is itself at fault. Pure.

An outage looks the same to every batch; a batch that a proxy or the collector cannot digest looks like an
outage to itself alone. So a batch that has failed three times is doubted: something else is tried in its
place. If that is delivered, and the doubted one fails again, it fails alone. Then it no longer closes the
gate for the others: it is cut in halves until the guilty item is found, which is tried ten times more, with
waits of its own, and then is a dead letter.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from moesifasgi.shipper.batch import Batch

DOUBTED_AFTER = 3
"""Failures in a row."""
MAX_FAILED_ALONE = 10
"""Tries of a single item that fails alone; with their waits some eight minutes."""


class Returned:
    """The batches of one lane that came back. Times are monotonic seconds."""

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._batches: deque[Batch] = deque()

    def __bool__(self) -> bool:
        return bool(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    @property
    def doubted(self) -> bool:
        """Whether the next one has failed so often that something else should be tried."""
        return bool(self._batches) and self._batches[0].failures >= DOUBTED_AFTER

    def first(self, batch: Batch) -> None:
        self._batches.appendleft(batch)

    def last(self, batch: Batch) -> None:
        self._batches.append(batch)

    def failed(self, batch: Batch, now: float) -> None:
        """It comes back once more: before all others, behind them once it is doubted."""
        failures = batch.failures + 1
        doubted_at = now if failures == DOUBTED_AFTER else batch.doubted_at
        again = replace(batch, retry=True, failures=failures, doubted_at=doubted_at)
        if self._ordered or failures < DOUBTED_AFTER:
            self.first(again)
        else:
            self.last(again)

    def halve(self, batch: Batch, now: float) -> None:
        """Two halves, before all others; each is as doubted as the whole was."""
        middle = len(batch.entries) // 2
        doubted_at = now if batch.failures >= DOUBTED_AFTER else batch.doubted_at
        for half in (batch.entries[middle:], batch.entries[:middle]):
            self.first(Batch(half, failures=batch.failures, doubted_at=doubted_at))

    def set_apart(self, batch: Batch, not_before: float) -> None:
        """A single item that fails alone, until then."""
        again = replace(batch, retry=True, failed_alone=batch.failed_alone + 1, not_before=not_before)
        if self._ordered:
            self.first(again)
        else:
            self.last(again)

    def due_at(self) -> float | None:
        """When one may be tried again; None where there is none."""
        candidates = list(self._batches)[:1] if self._ordered else self._batches
        return min((batch.not_before for batch in candidates), default=None)

    def take(self, now: float) -> Batch | None:
        """The next one that may be tried now."""
        for batch in self._batches:
            if batch.not_before <= now:
                self._batches.remove(batch)
                return batch
            if self._ordered:
                break
        return None

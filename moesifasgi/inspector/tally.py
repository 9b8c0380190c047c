"""Counts of what arrived. Plain values; the store holds the lock."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

STREAMS = ("events", "users", "companies", "subscriptions", "actions")


@dataclass(slots=True)
class Counts:
    """Items of one stream: received = distinct + duplicates + invalid + refused.

    An item without transaction_id is always distinct. A duplicate user, company or subscription is an update
    of a known one. ``oversized`` and ``late_over_30_days`` are marks beside the identity.
    """

    received: int = 0
    distinct: int = 0
    duplicates: int = 0
    invalid: int = 0
    refused: int = 0
    """Good, but in a batch that was refused for another item."""
    oversized: int = 0
    late_over_30_days: int = 0

    @classmethod
    def total(cls, parts: Iterable["Counts"]) -> Self:
        """The sum of all parts."""
        parts = list(parts)
        return cls(**{each.name: sum(getattr(part, each.name) for part in parts) for each in fields(cls)})


@dataclass(slots=True)
class Tally:
    """One application's counts. The status and direction are those of distinct events."""

    counts: dict[str, Counts] = field(default_factory=lambda: {stream: Counts() for stream in STREAMS})
    by_status: Counter[int | None] = field(default_factory=Counter)
    by_direction: Counter[str | None] = field(default_factory=Counter)

    @classmethod
    def total(cls, parts: Iterable["Tally"]) -> Self:
        """The sum of all parts."""
        tally, parts = cls(), list(parts)
        for stream in STREAMS:
            tally.counts[stream] = Counts.total(part.counts[stream] for part in parts)
        for part in parts:
            tally.by_status.update(part.by_status)
            tally.by_direction.update(part.by_direction)
        return tally

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; ``null`` stands for events without response or direction."""
        return {
            **{stream: asdict(self.counts[stream]) for stream in STREAMS},
            "by_status": {_key(status): count for status, count in self.by_status.items()},
            "by_direction": {_key(direction): count for direction, count in self.by_direction.items()},
        }


def _key(value: int | str | None) -> str:
    if value is None:
        return "null"
    # A status is any integer to the schema; the number of different keys has to have a bound.
    return str(value) if isinstance(value, str) or 100 <= value <= 999 else "other"


class Sizes:
    """How many items the uploads had."""

    _BOUNDS = (1, 10, 25, 50, 100, 200, 500)

    def __init__(self) -> None:
        self._buckets = [0] * (len(self._BOUNDS) + 1)
        self._count = self._total = self._max = 0
        self._min: int | None = None

    def add(self, size: int) -> None:
        self._buckets[bisect_left(self._BOUNDS, size)] += 1
        self._count += 1
        self._total += size
        self._max = max(self._max, size)
        self._min = size if self._min is None else min(self._min, size)

    def to_json(self) -> dict[str, Any]:
        """Count, min, max, mean, and a histogram by upper bounds (not cumulative)."""
        names = [*(f"<={bound}" for bound in self._BOUNDS), f">{self._BOUNDS[-1]}"]
        return {
            "count": self._count,
            "min": self._min,
            "max": self._max,
            "mean": self._total / self._count if self._count else None,
            "histogram": dict(zip(names, self._buckets, strict=True)),
        }

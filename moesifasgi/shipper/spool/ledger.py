"""The books of a spool: what each lane holds, and one number per fate of an item. Pure.

A Change is collected while a transaction runs and written in that same transaction; the Ledger in memory is
posted only after the commit. So the books are right after any crash, and reading them never scans the chunks.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from moesifasgi.shipper.spool import Lane, Settlement, Totals

TAKEN, DELIVERED, DEAD_LETTERED = "taken", "delivered", "dead_lettered"
DUPLICATES, GAPS = "duplicates", "gaps"
DROPPED = "dropped."
"""Prefix of a counter of dropped items; the reason follows."""
DEAD_LETTERS, DEAD_LETTER_BYTES = "dead_letters", "dead_letter_bytes"
"""Dead letters that are kept now; unlike the others these go down as well, and so does DEAD_LETTERED, where a
person retries or discards one."""
DISCARDED = "discarded"
"""The reason under which a dead letter is dropped that nobody wants any more."""
WAITING = "waiting"
"""Items that are still to be read of damaged files: taken, and neither in a lane nor gone. Goes down too."""


@dataclass(slots=True)
class Holding:
    """What a lane holds, or by how much that changes. Bytes are those of the compressed bodies."""

    events: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction does to the books."""

    lanes: defaultdict[Lane, Holding] = field(default_factory=lambda: defaultdict(Holding))
    counters: Counter[str] = field(default_factory=Counter)

    def hold(self, lane: Lane, events: int, size: int) -> None:
        """The lane got (or, below zero, lost) so many events and bytes."""
        holding = self.lanes[lane]
        holding.events += events
        holding.bytes += size

    def drop(self, reason: str, events: int) -> None:
        self.counters[DROPPED + reason] += events

    def settle(self, settlement: Settlement, lane: Lane, events: int, size: int) -> None:
        """A chunk of so many items and bytes goes. ValueError if not each of its items has one fate."""
        letters, dropped = len(settlement.dead_letters), settlement.dropped
        fates = settlement.delivered + letters + sum(dropped.values())
        if fates != events:
            raise ValueError(f"row {settlement.row} has {events} items, but {fates} fates")
        self.counters.update({DELIVERED: settlement.delivered, DEAD_LETTERED: letters})
        for reason, count in dropped.items():
            self.drop(reason, count)
        self.hold(lane, -events, -size)

    def withdraw(self, letters: int, dead_lettered: int) -> None:
        """So many dead letters get another fate; ``dead_lettered`` is the counter before this change.

        What a damaged file lost from that counter was not taken by it either.
        """
        known = min(letters, dead_lettered)
        self.counters[DEAD_LETTERED] -= known
        self.counters[TAKEN] += letters - known

    def bytes_of(self, application_id: str) -> int:
        return sum(held.bytes for lane, held in self.lanes.items() if lane.application_id == application_id)


class Ledger:
    """The books as they stand after the last commit."""

    __slots__ = ("bytes", "counters", "events", "lanes")

    def __init__(self) -> None:
        self.lanes: defaultdict[Lane, Holding] = defaultdict(Holding)
        self.counters: Counter[str] = Counter()
        self.events = 0
        self.bytes = 0

    def post(self, change: Change) -> None:
        """Take over what a committed transaction did."""
        for lane, held in change.lanes.items():
            holding = self.lanes[lane]
            holding.events += held.events
            holding.bytes += held.bytes
            self.events += held.events
            self.bytes += held.bytes
        for name, count in change.counters.items():
            self.counters[name] += count

    def bytes_of(self, application_id: str) -> int:
        return sum(held.bytes for lane, held in self.lanes.items() if lane.application_id == application_id)

    def holding(self, lane: Lane) -> Holding:
        return self.lanes.get(lane, Holding())

    def lanes_with_events(self) -> list[Lane]:
        return [lane for lane, holding in self.lanes.items() if holding.events]

    def missing(self) -> int:
        """Items taken whose fate is not on the books: 0 unless the file is damaged."""
        counters = self.counters
        dropped = sum(count for name, count in counters.items() if name.startswith(DROPPED))
        held = self.events + counters[WAITING]
        return counters[TAKEN] - counters[DELIVERED] - counters[DEAD_LETTERED] - dropped - held

    def is_sound(self, max_bytes: int) -> bool:
        """False where only damage explains the books. ``max_bytes``: as much as the file can hold."""
        numbers = [*self.counters.values()]
        for holding in self.lanes.values():
            numbers += [holding.events, holding.bytes]
        return self.missing() == 0 and self.bytes <= max_bytes and min(numbers, default=0) >= 0

    def balance(self) -> Change:
        """What makes the books agree with what is held: what is missing was damaged, a surplus was taken."""
        missing, change = self.missing(), Change()
        if missing > 0:
            change.drop("damaged", missing)
        elif missing < 0:
            change.counters[TAKEN] += -missing
        return change

    def totals(self) -> Totals:
        counters = self.counters
        dropped = {
            name.removeprefix(DROPPED): count
            for name, count in counters.items()
            if name.startswith(DROPPED) and count
        }
        return Totals(
            taken=counters[TAKEN],
            delivered=counters[DELIVERED],
            dead_lettered=counters[DEAD_LETTERED],
            duplicates=counters[DUPLICATES],
            gaps=counters[GAPS],
            dropped=dropped,
        )

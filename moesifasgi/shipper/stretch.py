"""Where a lane is read, and what was read there and not uploaded yet. Pure.

Usually in one place: from the oldest row on. A lane that has fallen behind is read in two, from its oldest
row and from what is its newest, so that what happens now does not wait for what happened during an outage.

    rows    ════ closed stretch ════╪══ another ══╪════ open stretch ════▶
              ▲ oldest                              ▲ newest

Uploads take from the two in turn. If the newest falls behind again it is closed too, and a newer one begins.
"""

from collections import deque
from collections.abc import Iterable

from moesifasgi.shipper.batch import Entry, OpenChunk
from moesifasgi.shipper.spool import LAST_ROW

FRESH_S = 5.0
"""What waits for longer, though the collector answers, is overtaken by what is new."""
MAX_STRETCHES = 8
"""Of one lane."""


class Stretch:
    """Rows of a lane after ``after`` and up to ``upto``, read in their order."""

    __slots__ = ("after", "caught_up", "upto", "waiting", "waiting_bytes")

    def __init__(self, after: int) -> None:
        self.after = after
        """The last row that was read."""
        self.upto = LAST_ROW
        self.caught_up = False
        """Nothing more was there at the last read."""
        self.waiting: deque[Entry] = deque()
        self.waiting_bytes = 0

    @property
    def closed(self) -> bool:
        """What is newer belongs to another."""
        return self.upto != LAST_ROW

    @property
    def over(self) -> bool:
        """It is closed, and has nothing left."""
        return self.closed and self.caught_up and not self.waiting

    def add(self, chunk: OpenChunk) -> None:
        self.after = chunk.stored.row
        self.waiting.extend(Entry(chunk, index) for index in range(chunk.left))
        self.waiting_bytes += chunk.bytes

    def give_back(self) -> list[OpenChunk]:
        """The chunks that nothing was taken of: they will be read again."""
        returned = []
        while self.waiting:
            chunk = self.waiting[-1].chunk
            items = len(chunk.stored.items)
            if len(self.waiting) < items or self.waiting[-items].chunk is not chunk:
                break
            for _ in range(items):
                self.take_newest()
            returned.append(chunk)
            self.after = chunk.stored.row - 1
        return returned

    def take_oldest(self) -> Entry:
        return self._taken(self.waiting.popleft())

    def take_newest(self) -> Entry:
        return self._taken(self.waiting.pop())

    def _taken(self, entry: Entry) -> Entry:
        self.waiting_bytes -= len(entry.item.payload)
        return entry


class Stretches:
    """All stretches of a lane, in their order; there is always an open one, the last."""

    def __init__(self) -> None:
        self._all = [Stretch(0)]
        self._newest_is_next = False

    def __len__(self) -> int:
        return len(self._all)

    @property
    def oldest(self) -> Stretch:
        return self._all[0]

    @property
    def newest(self) -> Stretch:
        return self._all[-1]

    @property
    def in_turn(self) -> list[Stretch]:
        """Those that are read and uploaded now; the one whose turn it is comes first."""
        if len(self._all) == 1:
            return [self.newest]
        ends = [self.oldest, self.newest]
        return ends[::-1] if self._newest_is_next else ends

    @property
    def waiting_items(self) -> int:
        return sum(len(stretch.waiting) for stretch in self._all)

    @property
    def first_unread(self) -> int | None:
        """No row before it is unread, as far as is known; None where all was read."""
        return next((each.after + 1 for each in self._all[:-1] if not each.caught_up), None)

    @property
    def newest_first(self) -> Iterable[Stretch]:
        return reversed(self._all)

    def used(self, stretch: Stretch) -> None:
        """A batch was taken from it: it is the other's turn."""
        self._newest_is_next = stretch is not self.newest
        self._forget()

    def close(self, newest_row: int) -> None:
        """End the newest stretch at the spool's newest row, and begin another behind it."""
        self.newest.upto = newest_row
        self.newest.caught_up = self.newest.after >= newest_row
        self._all.append(Stretch(newest_row))
        self._newest_is_next = True

    def was_read(self, stretch: Stretch, *, something: bool) -> None:
        at_end = stretch.after >= stretch.upto
        stretch.caught_up = at_end or not something
        self._forget()

    def _forget(self) -> None:
        while self.oldest.over:
            del self._all[0]

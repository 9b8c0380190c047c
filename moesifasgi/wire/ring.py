"""The ring: a worker's memory of what the shipper has not acknowledged. Pure; the channel holds the lock.

Sequences are consecutive from 1 and given out only to what is accepted, so the ring's content is always the
range ``base … next - 1``. Full means that the newest is refused: what came first is kept.
"""

from collections import deque
from enum import Enum

from moesifasgi.wire.codec import framed_event
from moesifasgi.wire.frame import MAX_FRAME_BYTES, PREFIX


class Offer(Enum):
    """What became of an offered payload."""

    ACCEPTED = "accepted"
    FULL = "full"
    DOWN = "down"
    TOO_LARGE = "too_large"


_ACCEPTED = Offer.ACCEPTED
_MAX_FRAMED_BYTES = PREFIX.size + MAX_FRAME_BYTES


class Ring:
    """Frames ``base … next - 1``, of which the last few may not have been taken for sending yet."""

    __slots__ = ("_frames", "_max_bytes", "_max_events", "_unsent", "base", "bytes", "next")

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._frames: deque[bytes] = deque()
        self._unsent: deque[bytes] = deque()
        self.base = 1
        self.next = 1
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def offer(self, kind: int, key: int, payload: bytes) -> Offer:
        """Accept one payload under the next sequence, or say why not."""
        frames = self._frames
        framed = framed_event(kind, key, self.next, payload)
        size = len(framed)
        if size > _MAX_FRAMED_BYTES:
            return Offer.TOO_LARGE
        if len(frames) >= self._max_events or self.bytes + size > self._max_bytes:
            return Offer.FULL
        frames.append(framed)
        self._unsent.append(framed)
        self.next += 1
        self.bytes += size
        return _ACCEPTED

    @property
    def newest(self) -> bytes:
        """The frame accepted last."""
        return self._frames[-1]

    def take_newest(self) -> bytes:
        """The frame accepted last, where nothing before it is unsent."""
        return self._unsent.pop()

    def take(self, max_bytes: int, max_frames: int) -> list[bytes]:
        """The oldest frames not taken yet, within both bounds, but at least one if there is one."""
        taken: list[bytes] = []
        total = 0
        unsent = self._unsent
        while unsent and (not taken or (total + len(unsent[0]) <= max_bytes and len(taken) < max_frames)):
            framed = unsent.popleft()
            taken.append(framed)
            total += len(framed)
        return taken

    def unacknowledged(self) -> list[bytes]:
        """All frames, ``base … next - 1``."""
        return list(self._frames)

    def acknowledge(self, sequence: int) -> int:
        """Forget all up to ``sequence``; returns how many. ValueError if it was never taken for sending."""
        newest_sent = self.next - 1 - len(self._unsent)
        if sequence > newest_sent:
            raise ValueError(f"acknowledged {sequence}, but the newest sent is {newest_sent}")
        return self._forget(sequence)

    def resume(self, last: int) -> int:
        """A new connection: forget ``last`` and before, and send the rest again; returns how many it forgot.

        ValueError if ``last`` was never given out.
        """
        if last >= self.next:
            raise ValueError(f"resumed after {last}, but the newest is {self.next - 1}")
        count = self._forget(last)
        self._unsent = deque(self._frames)
        return count

    def _forget(self, sequence: int) -> int:
        count = max(0, sequence - self.base + 1)
        for _ in range(count):
            self.bytes -= len(self._frames.popleft())
        self.base += count
        return count

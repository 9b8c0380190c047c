"""When what came is stored, and when its senders are told.

What waits in the intake goes into the spool in one transaction; where the spool refuses, it is tried again
after a moment. Only what is stored is owed an acknowledgement.
"""

from collections.abc import Callable, Iterator

from moesifasgi.quiet import say
from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.receiver.acks import OwedAcks
from moesifasgi.shipper.spool import SpoolError

RETRY_S = 0.5
DROPS_TOLD_S = 60.0
"""So long is a shipper unhealthy after it dropped something for want of room; counters tell it for good."""


class Commits:
    """See the module. Times are monotonic seconds, by the clock that it is given."""

    def __init__(self, intake: Intake, clock: Callable[[], float]) -> None:
        self.owed = OwedAcks()
        self._intake = intake
        self._clock = clock
        self._retry_at: float | None = None
        self._fault: SpoolError | None = None

    def store(self) -> bool | None:
        """Store what waits: whether there was any; None if the spool refuses for now.

        It may have taken longer than what is waited for after it: times count from its end.
        """
        frames = self._intake.waiting_frames
        try:
            stored = self._intake.commit()
        except SpoolError as error:
            say("spool refuses", "the spool cannot store events for now: %s", error)
            self._retry_at = self._clock() + RETRY_S
            self._fault = error
            return None
        self._retry_at = self._fault = None
        if stored:
            self.owed.add(stored, frames, self._clock())
        return bool(stored)

    def is_due(self, now: float) -> bool:
        """Something waits that is to be stored now."""
        return self._intake.due_in_s() == 0.0 and (self._retry_at is None or now >= self._retry_at)

    def due_in_s(self, now: float) -> float | None:
        """Seconds until something is to be stored, or told; None if nothing is."""
        waits = [self.owed.due_in_s(now)]
        if (due_s := self._intake.due_in_s()) is not None:
            waits.append(max(due_s, (self._retry_at or now) - now))
        return min((due_s for due_s in waits if due_s is not None), default=None)

    def reasons(self, now: float) -> Iterator[Reason]:
        """Why nothing, or not all, is stored."""
        if self._fault is not None:
            yield Reason(f"the spool cannot store events: {self._fault}", Advice.DISK)
        dropped_at = self._intake.dropped_at
        if dropped_at is not None and now - dropped_at < DROPS_TOLD_S:
            dropped = "the spool has no room: events were dropped within the last minute"
            yield Reason(dropped, Advice.ROOM)

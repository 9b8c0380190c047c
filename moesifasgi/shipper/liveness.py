"""Whether a loop goes on, from looks at it. Pure: times are monotonic seconds, given by the caller.

Not every wait is a standstill. A loop that has nothing to do, or that waits until it may try again, is well;
so is one that keeps trying in vain, since an outage is no reason to begin afresh. It stands still when work
is due and no attempt at it comes to an end, whatever the end.
"""

from dataclasses import dataclass

STANDSTILL_S = 36.0
"""So long without the end of an attempt, though work is due. An upload takes 30 s at most."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """One look at a loop."""

    attempts: int
    """That came to an end so far, well or badly."""
    is_due: bool
    """Whether there is something that it should be doing now."""
    oldest_began_at: float | None = None
    """When the oldest attempt under way began."""


class Liveness:
    """Remembers since when nothing has moved."""

    def __init__(self, now: float) -> None:
        self._attempts = -1
        self._moved_at = now

    def look(self, pulse: Pulse, now: float) -> float:
        """Seconds of standstill so far; 0 where all is well."""
        if pulse.attempts != self._attempts or not pulse.is_due:
            self._attempts, self._moved_at = pulse.attempts, now
        began_at = pulse.oldest_began_at
        oldest_s = 0.0 if began_at is None else now - began_at
        return max(now - self._moved_at, oldest_s)

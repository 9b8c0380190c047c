"""Whether a loop goes on, from looks at it. Pure: times are monotonic seconds, given by the caller.

Not every wait is a standstill. A loop that has nothing to do, or that waits until it may try again, is well;
so is one that keeps trying in vain, since an outage is no reason to begin afresh. It stands still when work
is due and no attempt at it comes to an end, whatever the end.
"""

from dataclasses import dataclass

ATTEMPT_S = 30.0
"""The longest attempt: an upload's own time limit."""
STANDSTILL_S = 36.0
"""So long without the end of an attempt, though work is due."""

MOST_BETWEEN_LOOKS_S = 3.0
"""What lies longer between two looks was time in which this process did not run."""

LEAST_STANDSTILL_S = ATTEMPT_S + MOST_BETWEEN_LOOKS_S
"""With less, uploads that are not answered in an outage look like a standstill."""


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
    """Remembers for how long nothing has moved. A process that was paused is not blamed for the time."""

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._attempts = -1
        self._stood_s = 0.0
        self._oldest_began_at: float | None = None
        self._oldest_s = 0.0

    def look(self, pulse: Pulse, now: float) -> float:
        """Seconds of standstill so far; 0 where all is well."""
        passed_s = min(MOST_BETWEEN_LOOKS_S, now - self._looked_at)
        self._looked_at = now
        moved = pulse.attempts != self._attempts or not pulse.is_due
        same = pulse.oldest_began_at is not None and pulse.oldest_began_at == self._oldest_began_at
        self._attempts, self._oldest_began_at = pulse.attempts, pulse.oldest_began_at
        self._stood_s = 0.0 if moved else self._stood_s + passed_s
        self._oldest_s = self._oldest_s + passed_s if same else 0.0
        return max(self._stood_s, self._oldest_s)

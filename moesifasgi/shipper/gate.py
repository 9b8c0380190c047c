"""When a lane may upload: freely, after a wait, or only to ask whether it may again. Pure.

A lane has its own gate, so that an endpoint which refuses never holds up the application's others. While the
gate is not open there is one upload at a time, the probe. Only a probe's success opens it: one that was under
way when the failure came says nothing about the collector afterwards (and must not cancel a Retry-After).
"""

from dataclasses import dataclass
from enum import Enum

from moesifasgi.shipper.outcome import RetryLater
from moesifasgi.shipper.retry import DEFAULT_BACKOFF, Backoff, backoff_s

RETRY_AFTER_SPREAD_S = 1.0
"""After the time that a Retry-After names, uploads start within this, not all in the same instant."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently failures are met. Times in seconds."""

    backoff: Backoff = DEFAULT_BACKOFF
    probe_s: float = 60.0
    """Between two probes of a parked lane."""
    max_refused_run: int = 20
    """So many refused single items in a row, with nothing delivered between, are no fault of the items."""


class GateState(Enum):
    """What the gate lets through; the value is what status shows."""

    OPEN = "ok"
    BACKING_OFF = "backing off"
    PARKED = "parked"


class Gate:
    """The gate of one lane. All times are monotonic seconds, given by the caller."""

    __slots__ = ("_attempt", "_failed_at", "_pace", "next_attempt", "reason", "state")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._attempt = 0
        self._failed_at = float("-inf")
        self.state = GateState.OPEN
        self.reason = ""
        self.next_attempt = 0.0

    def admits(self, now: float, in_flight: int, limit: int) -> bool:
        """Whether one more upload may start."""
        if self.state is GateState.OPEN:
            return in_flight < limit
        return in_flight == 0 and now >= self.next_attempt

    def succeeded(self, started_at: float) -> None:
        """An upload that started then was delivered."""
        if started_at >= self._failed_at:
            self._attempt = 0
            self.state, self.reason = GateState.OPEN, ""

    def back_off(self, outcome: RetryLater, started_at: float, now: float, random01: float) -> None:
        """An upload that started then got no answer, or one that asks for patience."""
        stale = self.state is not GateState.OPEN and started_at < self._failed_at
        self._attempt += not stale
        wait_s = backoff_s(self._attempt, random01, self._pace.backoff)
        if outcome.after_s:  # 0, or a date in the past, asks for no patience at all: our own counts.
            named_s = outcome.after_s + random01 * RETRY_AFTER_SPREAD_S
            wait_s = max(self._pace.backoff.floor_s, named_s)
        if stale:
            self.next_attempt = max(self.next_attempt, now + wait_s)
        else:
            self._close(GateState.BACKING_OFF, outcome.reason, now, wait_s)

    def park(self, reason: str, now: float) -> None:
        """The collector takes nothing from this lane; ask again only now and then.

        Not before a Retry-After that an answer named just before.
        """
        self._close(GateState.PARKED, reason, now, max(self._pace.probe_s, self.next_attempt - now))

    def reconsider(self, pace: Pace, now: float) -> None:
        """Something was changed that the collector may have waited for: a parked lane asks at once."""
        self._pace = pace
        if self.state is GateState.PARKED:
            self.next_attempt = now

    def _close(self, state: GateState, reason: str, now: float, wait_s: float) -> None:
        self._failed_at = now
        self.state, self.reason = state, reason
        self.next_attempt = now + wait_s

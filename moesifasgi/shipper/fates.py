"""What an outcome does to its batch and its lane. Pure; the whole policy of refusals is here.

Delivered      each item has its fate; a probe's success opens the gate
RetryLater     the same batch again, after a wait; in halves if it ran out of time
Unauthorized   the same batch again; the lane is parked
               either of the two for a batch that fails alone: set apart (``returned``); the lane goes on
Rejected,      many items: two halves, so that the guilty one is found in log2(n) steps
TooLarge       one item: a dead letter, unless it is the 20th in a row with nothing delivered between.
               Then not the items are at fault, and the lane is parked with its backlog
"""

from dataclasses import dataclass

from moesifasgi.shipper.batch import Batch
from moesifasgi.shipper.batch_size import may_be_smaller
from moesifasgi.shipper.lane import LaneState
from moesifasgi.shipper.outcome import (
    Delivered,
    Outcome,
    Rejected,
    RetryLater,
    TooLarge,
    Unauthorized,
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What the log should say; ``lasting`` causes are worth a line an hour, others a line a minute."""

    cause: str
    text: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """One upload that came to an end; it began at ``started_at`` (monotonic)."""

    batch: Batch
    started_at: float
    outcome: Outcome


def apply_outcome(state: LaneState, finished: Finished, now: float, random01: float) -> Notice | None:
    """Give the batch its fate, or its next try; returns what is worth a log line."""
    batch, started_at = finished.batch, finished.started_at
    match finished.outcome:
        case Delivered():
            state.delivered(batch, started_at)
            state.gate.succeeded(started_at)
            return None
        case (RetryLater(reason=reason) | Unauthorized(reason=reason)) as outcome if state.fails_alone(batch):
            state.set_apart(batch, now, random01, str(outcome.status or "unanswered"), reason)
            return Notice("set apart", reason)
        case RetryLater(reason=reason) as later:
            if later.too_slow and may_be_smaller(batch):
                state.bisect(batch, now, too_large=True)
            else:
                state.give_back(batch, now, blamed=later.reached)
            state.gate.back_off(later, started_at, now, random01)
            return Notice("retry", reason)
        case Unauthorized(reason=reason):
            state.give_back(batch, now, blamed=True)
            state.gate.park(reason, now)
            return Notice("parked", reason, lasting=True)
        case TooLarge():
            return _refuse(state, finished, now, "413", "413 too large")
        case Rejected(reason=reason, status=status):
            return _refuse(state, finished, now, str(status), reason)


def _refuse(state: LaneState, finished: Finished, now: float, code: str, reason: str) -> Notice | None:
    batch = finished.batch
    if len(batch.entries) > 1:
        state.gate.succeeded(finished.started_at)
        state.bisect(batch, now, too_large=isinstance(finished.outcome, TooLarge))
        return None
    state.refused_run += 1
    if state.refusing:
        state.give_back_last(batch)
        state.gate.park(f"{reason}, whatever is uploaded", now)
        return Notice("refusing", reason, lasting=True)
    state.gate.succeeded(finished.started_at)
    if batch.copied:
        return None  # The item itself has its turn, and its fate then.
    state.held.dead_letter(batch.entries[0], code, reason)
    return Notice("dead letter", reason)

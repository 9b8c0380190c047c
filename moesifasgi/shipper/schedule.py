"""When the delivery loop has to look again if nobody tells it anything. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from moesifasgi.shipper.drain import Drain
from moesifasgi.shipper.gate import GateState
from moesifasgi.shipper.lane import LaneState
from moesifasgi.shipper.spool import Lane

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Situation:
    """What besides the lanes and drains decides on the next turn. Times are monotonic seconds."""

    now: float
    undiscovered: bool
    """The spool has to be asked for its lanes."""
    draining: Callable[[Lane], bool]
    may_upload: Callable[[LaneState], bool]
    """Whether one more upload fits; if not, the end of another one tells."""
    close_by: float | None
    spool_rest_until: float


def next_turn_at(situation: Situation, lanes: Iterable[LaneState], drains: Iterable[Drain]) -> float:
    """Monotonic seconds; infinity for never."""
    times = [drain.deadline for drain in drains]
    if situation.now < situation.spool_rest_until:
        times.append(situation.spool_rest_until)
    if situation.close_by is not None:
        return min([*times, situation.close_by])
    if situation.undiscovered:
        times.append(max(situation.now, situation.spool_rest_until))
    for state in lanes:
        if situation.may_upload(state):
            times.append(_upload_at(state, situation.draining(state.lane)))
        if state.held.has_decided:
            times.append(max(situation.now, situation.spool_rest_until))
    return min(times, default=_NEVER)


def _upload_at(state: LaneState, flush: bool) -> float:
    """When the lane may start its next upload; infinity where only an outcome or news can tell."""
    due_at = state.due_at(flush)
    if due_at is None or not state.gate.admits(_NEVER, state.in_flight, state.concurrency):
        return _NEVER
    return due_at if state.gate.state is GateState.OPEN else max(due_at, state.gate.next_attempt)

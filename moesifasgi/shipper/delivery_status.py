"""What the delivery loop's state says to people and monitors. Pure. Ages and waits in seconds."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from moesifasgi.shipper.gate import GateState
from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.shipper.lane import LaneState
from moesifasgi.shipper.uploader import Traffic

_SEVERITY = (GateState.OPEN, GateState.BACKING_OFF, GateState.PARKED)


def status_of(
    lanes: Iterable[LaneState], traffic: Callable[[str], Traffic], now: float, reasons: Sequence[Reason]
) -> dict[str, Any]:
    """Totals of all uploads, each application by its id, and all reasons why events do not arrive."""
    by_application: dict[str, list[LaneState]] = {}
    for state in (lanes := list(lanes)):
        by_application.setdefault(state.lane.application_id, []).append(state)
    applications = {
        application_id: _entry(states, traffic(application_id), now)
        for application_id, states in by_application.items()
    }
    failing = [state for states in by_application.values() for state in states if _is_failing(state)]
    return {
        **_total(list(applications.values())),
        "applications": applications,
        "patience_seconds": max(
            (state.application.batch_timeout_s for state in lanes if not state.idle), default=0.0
        ),
        "reasons": [*reasons, *map(_reason, failing)],
    }


def idle_entry() -> dict[str, Any]:
    """An application of which there was nothing to deliver yet."""
    return {
        "state": GateState.OPEN.value,
        "reason": "",
        "stream": None,
        "requests": {},
        "retries": 0,
        "in_flight": 0,
        "last_success_age_seconds": None,
        "next_attempt_in_seconds": None,
    }


def _entry(states: list[LaneState], traffic: Traffic, now: float) -> dict[str, Any]:
    """The state of the worst lane, and the traffic of all."""
    worst = max(states, key=lambda state: _SEVERITY.index(state.gate.state))
    failing = _is_failing(worst)
    return idle_entry() | {
        "state": worst.gate.state.value,
        "reason": worst.gate.reason,
        "stream": worst.lane.stream if failing else None,
        "requests": dict(traffic.requests),
        "retries": traffic.retries,
        "in_flight": traffic.in_flight,
        "last_success_age_seconds": None if traffic.last_success is None else now - traffic.last_success,
        "next_attempt_in_seconds": max(0.0, worst.gate.next_attempt - now) if failing else None,
    }


def _total(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    requests: Counter[str] = Counter()
    for entry in entries:
        requests.update(entry["requests"])
    return {
        "requests": dict(requests),
        "retries": sum(entry["retries"] for entry in entries),
        "in_flight": sum(entry["in_flight"] for entry in entries),
        "last_success_age_seconds": _least(entries, "last_success_age_seconds"),
        "next_attempt_in_seconds": _least(entries, "next_attempt_in_seconds"),
    }


def _least(entries: Sequence[dict[str, Any]], key: str) -> float | None:
    return min((entry[key] for entry in entries if entry[key] is not None), default=None)


def _is_failing(state: LaneState) -> bool:
    return state.gate.state is not GateState.OPEN


def _reason(state: LaneState) -> Reason:
    gate = state.gate
    what = f"{state.lane.stream} of {state.application.label}: {gate.state.value}: {gate.reason}"
    return Reason(what, Advice.PARKED if gate.state is GateState.PARKED else Advice.WAIT)

"""Waiting until what was appended before a moment is delivered. Pure; the delivery loop asks each turn.

The spool tells no row of a moment. So a lane's part of a drain is fixed when a read after the request comes
back empty: all rows up to there came before that read, and with them all that the caller had appended.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from moesifasgi.shipper.gate import GateState
from moesifasgi.shipper.lane import LaneState
from moesifasgi.shipper.spool import Lane

OnDone = Callable[[bool, str], None]
"""(delivered, reason): called once, on the delivery thread; it must not wait."""


def unknown_reason(lane: Lane) -> str:
    """Why a lane cannot be delivered whose application no worker has named since the spool lost it."""
    return f"the settings of …{lane.application_id[-4:]} are unknown until a worker of it says HELLO"


@dataclass(slots=True)
class Drain:
    """One request. ``deadline`` is monotonic, in seconds."""

    upto: int | None
    """The last row that matters, where the caller knows it."""
    give_up: bool
    deadline: float
    on_done: OnDone
    application_ids: frozenset[str] | None = None
    """None: of all applications."""
    withdrawn: bool = False
    """Who asked is gone: nobody is told, and nothing hurries for it."""
    _last_rows: dict[Lane, int] = field(default_factory=dict)

    def concerns(self, lane: Lane) -> bool:
        return self.application_ids is None or lane.application_id in self.application_ids

    def withdraw(self) -> None:
        """Any thread may."""
        self.withdrawn = True

    def answer(
        self, lanes: Iterable[LaneState], now: float, unknown: Iterable[Lane], *, all_known: bool
    ) -> tuple[bool, str] | None:
        """What to tell ``on_done``; None while it is not decided.

        ``unknown``: lanes with events of applications whose settings nobody has told. ``all_known``: the
        spool was asked for its lanes since the request.
        """
        concerned = [state for state in lanes if self.concerns(state.lane)]
        # What a lane has read before the spool was asked says nothing of what was appended since.
        pending = [state for state in concerned if not (all_known and self._delivered(state))]
        undeliverable = next(filter(self.concerns, unknown), None)
        if not pending and undeliverable is None and all_known:
            return True, ""
        failing = next((state for state in pending if state.gate.state is not GateState.OPEN), None)
        if failing is not None and self.give_up:
            return False, f"{failing.gate.state.value}: {failing.gate.reason}"
        if undeliverable is not None and self.give_up:
            return False, unknown_reason(undeliverable)
        if now >= self.deadline:
            return False, failing.gate.reason if failing else "not delivered in time"
        return None

    def _delivered(self, state: LaneState) -> bool:
        if state.lane not in self._last_rows:
            if state.caught_up:
                self._last_rows[state.lane] = state.cursor
            elif self.upto is not None and state.cursor >= self.upto:
                self._last_rows[state.lane] = self.upto
            else:
                return False
        oldest = state.oldest_row
        return oldest is None or oldest > self._last_rows[state.lane]

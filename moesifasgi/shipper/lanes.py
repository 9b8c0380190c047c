"""Between the spool and what may be uploaded: which lanes there are, what is read ahead, what is settled.

Owned by the delivery loop's thread; ``unknown``, ``undiscovered`` and ``idle`` may be looked at by any.
Nothing here asks the collector: it says what the spool has, and tells it what was decided.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.lane import READ_AHEAD_BYTES, LaneState
from moesifasgi.shipper.spool import Lane, Spool
from moesifasgi.wire.application import Application

READ_AHEAD_BYTES_IN_ALL = 64 * 1024 * 1024
"""Shared by the lanes that have something; each may hold one chunk beyond it."""


class Applications(Protocol):
    """Where the settings of applications are found, by any thread."""

    def get(self, application_id: str) -> Application | None:
        """None while nobody has said what they are."""


class Lanes:
    """The states of all lanes whose application is known. Times are monotonic unless named wall."""

    def __init__(self, spool: Spool, applications: Applications, pace: Pace) -> None:
        self.undiscovered = True
        """The spool has to be asked for its lanes."""
        self.unknown: frozenset[Lane] = frozenset()
        """Those with events of applications whose settings nobody has told."""
        self.dead_letters: Counter[str] = Counter()
        """How many were settled, by their code."""
        self._spool = spool
        self._applications = applications
        self._pace = pace
        self._paces: Mapping[str, Pace] = {}
        self._states: dict[Lane, LaneState] = {}
        self._turns = 0

    def __iter__(self) -> Iterator[LaneState]:
        return iter(list(self._states.values()))

    @property
    def idle(self) -> bool:
        """Nothing left to upload or to settle, as far as the last read knows."""
        # In this order: ``discover`` sets what is asked later before it clears what is asked earlier.
        return not self.undiscovered and not self.unknown and all(state.idle for state in self)

    @property
    def has_learned(self) -> bool:
        """Of an application whose lanes were unknown, the settings are known now."""
        return any(self._applications.get(lane.application_id) for lane in self.unknown)

    def in_turn(self) -> list[LaneState]:
        """All of them, beginning with another one each time, so that each is served where not all can be."""
        states = list(self)
        self._turns += 1
        first = self._turns % max(1, len(states))
        return states[first:] + states[:first]

    def reconsider(self, paces: Mapping[str, Pace], now: float) -> None:
        """Other settings hold; ``paces`` are those of single applications, by their ids."""
        self._paces = paces
        self.undiscovered = True
        for state in self:
            state.gate.reconsider(self._pace_of(state.lane), now)

    def discover(self) -> None:
        """Find lanes that are new, and have all of them read again. SpoolError."""
        unknown = set()
        for lane in self._spool.lanes():
            application = self._applications.get(lane.application_id)
            if application is None:
                unknown.add(lane)
            elif lane not in self._states:
                self._states[lane] = LaneState(lane, application, self._pace_of(lane))
        for state in self:
            if state.idle and self._applications.get(state.lane.application_id) is None:
                del self._states[state.lane]  # It was forgotten: there are too many others.
            state.news()
        self.unknown = frozenset(unknown)
        self.undiscovered = False

    def read_ahead(self, now: float, wall_clock: Callable[[], float]) -> None:
        """Read of each lane what it may hold. SpoolError."""
        busy = sum(not state.idle for state in self)
        share_bytes = min(READ_AHEAD_BYTES, READ_AHEAD_BYTES_IN_ALL // max(1, busy))
        for state in self:
            state.read_ahead_bytes = share_bytes
            self._read(state, now)
            if state.is_behind(wall_clock()):
                state.read_behind(self._spool.newest_row())
                self._read(state, now)

    def settle(self) -> None:
        """Tell the spool of all that was decided, in one transaction. SpoolError."""
        decided = [state for state in self if state.held.has_decided]
        if not decided:
            return
        settlements = [each for state in decided for each in state.held.settlements()]
        self._spool.settle(settlements)
        self.dead_letters.update(letter.code for each in settlements for letter in each.dead_letters)
        for state in decided:
            state.held.settled()

    def refresh(self, state: LaneState) -> None:
        """What a worker has said since may be what a failing lane waits for: another proxy, or authority."""
        state.application = self._applications.get(state.lane.application_id) or state.application

    def _read(self, state: LaneState, now: float) -> None:
        for stretch in state.stretches:
            while not stretch.caught_up and (wanted := state.wanted(stretch)):
                chunks = self._spool.peek(state.lane, stretch.after, wanted.items, stretch.upto, wanted.bytes)
                state.take(chunks, now, stretch)

    def _pace_of(self, lane: Lane) -> Pace:
        return self._paces.get(lane.application_id, self._pace)

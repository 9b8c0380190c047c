"""When workers are told what is stored. Pure.

An acknowledgement wakes a thread in the worker, under the application's GIL, and frees nothing but memory. So
they are owed for a while and told together: a tenth of a second, or sooner if a lot was stored.
"""

from collections.abc import Mapping

INTERVAL_S = 0.1
"""Ten a second and worker: about 0.1 % of a core there."""
MAX_FRAMES = 1_000
"""Frames stored since the last acknowledgements; a thousandth of the default ring (EVENT_QUEUE_SIZE)."""


class OwedAcks:
    """Sequences that are stored and not yet acknowledged, by session. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._sequences: dict[bytes, int] = {}
        self._since: float | None = None
        self._frames = 0

    def add(self, stored: Mapping[bytes, int], frames: int, now: float) -> None:
        """A transaction with so many frames has stored each session up to its sequence."""
        self._sequences.update(stored)
        self._frames += frames
        if self._since is None:
            self._since = now

    def due_in_s(self, now: float) -> float | None:
        """Seconds until the next acknowledgements; None if none is owed."""
        if self._since is None:
            return None
        return 0.0 if self._frames >= MAX_FRAMES else max(0.0, self._since + INTERVAL_S - now)

    def settle(self) -> dict[bytes, int]:
        """What to acknowledge now; nothing is owed afterwards."""
        sequences, self._sequences = self._sequences, {}
        self._since, self._frames = None, 0
        return sequences

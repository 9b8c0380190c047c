"""How many events a worker took with it, as far as its last words tell. Pure.

A worker says every second how much it holds (STATS). From that follows the newest sequence that it had given
out then; what of it never came, died with it. What it captured after its last words nobody knows, so this is
the least that was lost.
"""

from moesifasgi.wire.messages import Stats


class LastWords:
    """Of one session. ``last``: the last sequence that was here when the connection began."""

    __slots__ = ("_acked_before", "_last", "newest")

    def __init__(self, last: int) -> None:
        self.newest = last
        """The newest sequence that it is known to have given out."""
        self.connected(last)

    def connected(self, last: int) -> None:
        """It is there again, on a new connection."""
        self._last = last
        self._acked_before: int | None = None

    def said(self, stats: Stats) -> None:
        """What its counters say; they begin before this connection, and are told at its start."""
        acked = stats.counters.get("acked", 0)
        if self._acked_before is None:
            self._acked_before = acked
        self.newest = max(self.newest, self._last + acked - self._acked_before + stats.ring_events)

    def lost(self, last: int) -> int:
        """How many never came, where the last one that did is ``last``."""
        return max(0, self.newest - last)

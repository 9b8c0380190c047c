"""The two clocks of the shipper, as one value that tests can replace."""

import time
from collections.abc import Callable


class Clock:
    """Monotonic seconds for every wait; wall-clock seconds since the epoch only for ages on disk.

    ``wall`` is what is written down, since the next shipper reads it by a clock that was set right meanwhile;
    ``cautious_wall`` is what ages are judged by.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.monotonic = monotonic
        self.wall = wall
        self._offset = wall() - monotonic()

    def cautious_wall(self) -> float:
        """The wall clock, but never ahead of what has passed since the start: a jump makes nothing old."""
        return min(self.wall(), self._offset + self.monotonic())

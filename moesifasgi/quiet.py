"""Logging that cannot flood: at most one line a minute per cause, with how often it happened meanwhile."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable

INTERVAL_S = 60.0
logger = logging.getLogger("moesifasgi")


class Quiet:
    """A logger's gate. ``cause`` is a short constant of the code's; never a request's data."""

    def __init__(
        self,
        target: logging.Logger,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = target
        self._interval_s = interval_s
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}
        self.start_afresh()

    def start_afresh(self) -> None:
        """A lock that nobody holds: for a forked child."""
        self._lock = threading.Lock()

    def say(self, cause: str, template: str, *args: object, level: int = logging.WARNING) -> None:
        """Log one line now, or count it for the next line of this cause."""
        now = self._clock()
        with self._lock:
            at, suppressed = self._said.get(cause, (-self._interval_s, 0))
            if now - at < self._interval_s:
                self._said[cause] = (at, suppressed + 1)
                return
            self._said[cause] = (now, 0)
        if suppressed:
            template += " (%d more since the last line)"
            args = (*args, suppressed)
        # The application's own filters and handlers run here, and may raise; that is not to reach a request.
        with contextlib.suppress(Exception):
            self._logger.log(level, template, *args)


_quiet = Quiet(logger)
say = _quiet.say
"""``Quiet.say`` on this package's logger."""
os.register_at_fork(after_in_child=_quiet.start_afresh)

"""Ends a shipper that stands still, so that whoever started it starts it afresh: systemd, or a worker.

Where systemd watches, its watchdog is fed no more, and systemd ends the process; elsewhere the process ends
itself. Both leave the tracebacks of all threads in the log. Nothing is lost by it: what was acknowledged is
in the spool, and what was being uploaded is recognised by the collector.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.shipper.liveness import STANDSTILL_S, Liveness, Pulse
from moesifasgi.shipper.systemd import Manager

LOOK_S = 0.5
"""Between two looks. systemd is told every time, so its limit may be as short as a few seconds."""
TOLD_SHARE = 0.85
"""Of the standstill that ends a shipper: then status says so. The longest upload takes less."""
EXIT_STANDSTILL = 70
"""Exit status of a shipper that ended itself: EX_SOFTWARE of sysexits.h."""
logger = logging.getLogger("moesifasgi.shipper")

Look = Callable[[], Pulse]
"""At one loop. Any thread; must not wait."""


class Watchdog:
    """Looks at all loops by name, on a thread of its own."""

    def __init__(
        self,
        loops: Mapping[str, Look],
        manager: Manager,
        *,
        standstill_s: float = STANDSTILL_S,
        end: Callable[[], None] | None = None,
    ) -> None:
        """``end``: what to do instead of ending the process."""
        now = time.monotonic()
        self._loops = [(name, look, Liveness(now)) for name, look in loops.items()]
        self._manager = manager
        self._standstill_s = standstill_s
        self._end = end or end_process
        self._closed = threading.Event()
        self._told = False
        self._worst = (0.0, "")
        self._thread = threading.Thread(target=self._run, name="moesif-watchdog", daemon=True)

    @property
    def reasons(self) -> list[Reason]:
        """A standstill, as soon as it is one; for status, from any thread."""
        silent_s, name = self._worst
        if silent_s < TOLD_SHARE * self._standstill_s:
            return []
        return [Reason(f"{name} stands still for {silent_s:.0f} s", Advice.BEGINS_AFRESH)]

    def start(self) -> None:
        if self._manager.watchdog_s is not None:
            # What systemd ends by SIGABRT says where it stood.
            faulthandler.enable(all_threads=True)
        self._thread.start()

    def close(self) -> None:
        """No more looks; a service manager is told once more that this process lives. May be called twice."""
        if not self._closed.is_set():
            self._closed.set()
            self._manager.alive()
        if self._thread.is_alive():
            self._thread.join(LOOK_S)

    def look(self, now: float) -> None:
        """Once; public for tests of the decision without its thread."""
        self._worst = max((live.look(look(), now), name) for name, look, live in self._loops)
        silent_s, name = self._worst
        if silent_s < self._standstill_s:
            self._told = False
            self._manager.alive()
            return
        self._tell(name, silent_s)
        if self._manager.watchdog_s is None:
            self._end()

    def _tell(self, name: str, silent_s: float) -> None:
        if not self._told:
            self._told = True
            logger.critical(
                "%s stands still for %.0f s: this shipper has to be started afresh", name, silent_s
            )
            self._manager.say(f"{name} stands still for {silent_s:.0f} s")

    def _run(self) -> None:
        while not self._closed.wait(LOOK_S):
            self.look(time.monotonic())


def end_process() -> NoReturn:
    """At once, with the threads' tracebacks on standard error; they show code, and nothing of any event."""
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    os._exit(EXIT_STANDSTILL)

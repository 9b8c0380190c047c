"""The channel's thread: it begins when there is something to do, sleeps in ``poll``, and can be woken."""

import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

from moesifasgi.wakeup import Wakeup

AGAIN_S = 1.0
"""Where the process may have no more threads or descriptors, it is tried again after so long."""


class Watched(Protocol):
    """Anything with a descriptor."""

    def fileno(self) -> int: ...


class ChannelThread:
    """``begin`` and ``ended`` are called under the carrier's lock, ``wake`` and ``join`` without it."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._thread: threading.Thread | None = None
        self._wakeup: Wakeup | None = None
        self._again_at = 0.0
        self.has_begun = False
        """It runs, and has not said that it ends."""

    @property
    def may_begin(self) -> bool:
        """It does not run, and not long ago nothing stood against it."""
        return not self.has_begun and time.monotonic() >= self._again_at

    def begin(self) -> Exception | None:
        """Start it. What came back instead: the process may have no more threads or descriptors now."""
        thread = threading.Thread(target=self._run, name="moesif-channel", daemon=True)
        try:
            self._wakeup = Wakeup()
            thread.start()
        except (OSError, RuntimeError) as error:
            self._again_at = time.monotonic() + AGAIN_S
            self.ended()
            return error
        self._thread, self.has_begun = thread, True
        return None

    def ended(self) -> None:
        """It does nothing more, and may be begun again. In a forked child: it is the parent's."""
        self._thread, wakeup, self._wakeup = None, self._wakeup, None
        self.has_begun = False
        if wakeup is not None:
            wakeup.close()

    def wake(self) -> None:
        """Something is to be done."""
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def lookout(self) -> "Lookout":
        """What it sleeps on; for the thread itself."""
        assert self._wakeup is not None
        return Lookout(self._wakeup)


class Lookout:
    """A sleep that ends with time, with a call of ``wake``, or where something can be read or written."""

    def __init__(self, wakeup: Wakeup) -> None:
        self._wakeup = wakeup
        self._poller = select.poll()
        self._poller.register(wakeup, select.POLLIN)

    def watch(self, watched: Watched, events: int) -> None:
        """From now on these events of it end the sleep; its faults always do."""
        self._poller.register(watched, events)

    def sleep(self, seconds: float) -> list[int]:
        """The descriptors that something happened to; the wake-up's too."""
        ready = [descriptor for descriptor, _ in self._poller.poll(seconds * 1000)]
        if self._wakeup.fileno() in ready:
            self._wakeup.clear()
        return ready

"""Who looks after a shipper: the service manager, the watchdog, and the page for monitors. Put together once.

The order of a life: ``start`` → ``ready`` → ``stopping`` → ``close``.
"""

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moesifasgi.shipper.health import Reason, duration
from moesifasgi.shipper.monitor_address import MonitorAddress
from moesifasgi.shipper.systemd import Manager, forget, inherited_listener
from moesifasgi.shipper.uploader import OnUpload
from moesifasgi.shipper.watchdog import Look, Watchdog

if TYPE_CHECKING:
    from moesifasgi.shipper.metrics import Metrics
    from moesifasgi.shipper.monitor import Monitor
    from moesifasgi.shipper.monitor_page import Ask


class Supervision:
    """``observe`` and ``listener`` are for the parts of the shipper, which are made before ``start``."""

    def __init__(self, metrics_address: MonitorAddress | None, standstill_s: float) -> None:
        """OSError where systemd passed a socket that cannot be used, or nobody can listen for metrics."""
        pid = os.getpid()
        self.listener: socket.socket | None = inherited_listener(os.environ, pid)
        """The shipper's socket, if systemd listens on it: it outlives this process."""
        self._manager = Manager.from_environ(os.environ, pid)
        forget(os.environ)
        self._standstill_s = standstill_s
        self._watchdog: Watchdog | None = None
        self._metrics: Metrics | None = None
        self._monitor: Monitor | None = None
        if metrics_address is not None:
            self._listen(metrics_address)

    @property
    def has_manager(self) -> bool:
        """Whether somebody hears what ``tell`` says."""
        return self._manager.is_there

    @property
    def observe(self) -> OnUpload | None:
        """Wants to hear of each upload; None: nobody asks for metrics."""
        return self._metrics.observe if self._metrics is not None else None

    @property
    def reasons(self) -> list[Reason]:
        """Why this shipper will be started afresh; empty if it will not."""
        return self._watchdog.reasons if self._watchdog is not None else []

    @property
    def notes(self) -> list[str]:
        """What monitors cannot see, though events arrive."""
        return [] if self._monitor is None else [str(reason) for reason in self._monitor.reasons]

    def start(self, loops: Mapping[str, Look], ask: "Ask") -> None:
        """Begin to look at the loops, and to answer monitors by what ``ask`` says."""
        self._watchdog = Watchdog(loops, self._manager, standstill_s=self._standstill_s)
        self._watchdog.start()
        if self._monitor is not None:
            self._monitor.start(ask)

    def ready(self) -> None:
        """It serves; also after a reload."""
        self._manager.ready()

    def reloading(self) -> None:
        self._manager.reloading()

    def tell(self, document: Mapping[str, Any]) -> None:
        """How the shipper is, for whoever asks the service manager."""
        self._manager.say(summary(document))

    def stopping(self, within_s: float) -> None:
        """It has begun to leave, and needs so long at most."""
        self._manager.stopping(within_s)

    def close_monitor(self) -> None:
        """Nobody is told anything any more; another shipper may listen in its place. May be called twice."""
        if self._monitor is not None:
            self._monitor.close()

    def close(self) -> None:
        """May be called twice."""
        self.close_monitor()
        if self._watchdog is not None:
            self._watchdog.close()
        self._manager.close()

    def _listen(self, address: MonitorAddress) -> None:
        # Only who asks for metrics pays for the library.
        from moesifasgi.shipper.metrics import Metrics
        from moesifasgi.shipper.monitor import Monitor

        self._metrics = Metrics()
        self._monitor = Monitor(address, self._metrics)


def summary(document: Mapping[str, Any]) -> str:
    """The status document in one line."""
    spool, workers = document["spool"], document["workers"]
    age = spool["oldest_age_seconds"]
    oldest = "" if age is None else f", the oldest for {duration(age)}"
    state = "healthy" if document["healthy"] else f"UNHEALTHY: {document['reasons'][0]}"
    return f"{state} ({len(workers)} workers, {spool['events']} events in the spool{oldest})"

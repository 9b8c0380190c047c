"""The shipper process: puts receiver, intake, spool and delivery together, and takes them apart in order.

Leaving is written down once, in ``_leave``: stop accepting → read what was sent → append → acknowledge →
upload until the deadline → close. What is not delivered by then stays in the spool for the next start.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from moesifasgi.shipper.adoption import adopt
from moesifasgi.shipper.delivery import Delivery
from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.presence import Presence
from moesifasgi.shipper.receiver.unix import Receiver
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.remote_config import RemoteConfig
from moesifasgi.shipper.spool import Spool, SpoolError
from moesifasgi.shipper.status import document, policies_of
from moesifasgi.shipper.uploader import Uploader
from moesifasgi.unix_socket import listening
from moesifasgi.wakeup import Wakeup

STEP_S = 0.25
"""How often the loop looks at its own affairs, beside those of its peers."""
SESSION_KEPT_S = 86_400.0
"""How long the sequence of a session that never said BYE is remembered, in case it comes back."""
FORGET_EVERY_S = 3600.0
LONGEST_DRAIN_S = 3600.0
"""A drain is forgotten after it; who asked has its own, shorter patience."""
CUT_OFF_S = 0.5
"""Longest wait for the remote configuration to end; its requests are cut off."""
READ_OUT_S = 2.0
"""Longest time for reading what workers have sent before leaving."""

logger = logging.getLogger("moesifasgi.shipper")


@dataclass(frozen=True, slots=True)
class Options:
    """How a shipper process is run. Sizes in bytes, times in seconds."""

    directory: Path
    socket: Path
    embedded: bool
    linger_s: float = 10.0
    durability: Literal["normal", "full"] = "full"
    spool_max_bytes: int = 1 << 30
    spool_min_free_bytes: int = 256 << 20
    base_uri: str | None = None
    socket_mode: int = 0o600
    allowed_uids: frozenset[int] = frozenset()
    """User ids that may send, beside the shipper's own and root."""
    drain_s: float = 10.0
    """How long a stopping shipper goes on delivering."""


class Daemon:
    """One shipper over an open spool. ``run`` returns when it has left."""

    def __init__(self, options: Options, spool: Spool) -> None:
        self._options = options
        self._spool = spool
        self._started_at = time.monotonic()
        self._registry = Registry(spool, options.base_uri)
        self._remote_config = RemoteConfig(spool, self._push)
        self._registry.watch(self._remote_config.learned, self._forget_application)
        self._uploader = Uploader(on_tags=self._remote_config.tags_named, may_write_files=options.embedded)
        self._delivery = Delivery(spool, self._registry, self._uploader)
        self._leaving = 0
        self._forget_at = 0.0
        self._flushing = threading.Event()
        listener = listening(options.socket, options.socket_mode)
        allowed = options.allowed_uids | {os.geteuid(), 0}
        self._intake = Intake(spool, self._registry)
        self._receiver = Receiver(listener, self._intake, self, allowed)

    def run(self) -> None:
        """Serve until it is time to leave."""
        with _signals(self._receiver.wakeup, self._ask_to_leave):
            self._delivery.start()
            self._remote_config.start()
            logger.info("shipper %d serves %s", os.getpid(), self._options.socket)
            self._serve()
            self._leave()
            logger.info("shipper %d leaves", os.getpid())

    def appended(self) -> None:
        self._delivery.notify()

    def drain(
        self, *, give_up: bool, application_ids: frozenset[str] | None, on_done: Callable[[bool, str], None]
    ) -> Callable[[], None]:
        return self._delivery.drain(
            give_up=give_up, timeout_s=LONGEST_DRAIN_S, on_done=on_done, application_ids=application_ids
        )

    def status(self) -> dict[str, Any]:
        policies = policies_of(self._remote_config.status(), self._receiver.reports())
        uptime_s = time.monotonic() - self._started_at
        delivery = self._delivery.status()
        delivery["reasons"] += self._receiver.reasons
        return document(self._spool, delivery, policies, uptime_s)

    def _push(self, application_id: str, policy: bytes) -> None:
        self._receiver.push(application_id, policy)

    def _forget_application(self, application_id: str) -> None:
        self._remote_config.forget(application_id)
        self._receiver.forget_policy(application_id)
        self._uploader.forget(application_id)

    def _serve(self) -> None:
        presence = Presence(self._options.linger_s, time.monotonic())
        look_at = 0.0
        while True:
            self._receiver.step(STEP_S)
            if time.monotonic() < look_at and not self._leaving:
                continue
            look_at = time.monotonic() + STEP_S
            self._keep_house()
            if self._may_leave(presence):
                return

    def _may_leave(self, presence: Presence) -> bool:
        if not self._options.embedded:
            return self._leaving > 0
        if self._leaving:
            presence.ask_to_leave()
        workers, idle = len(self._receiver.workers), self._delivery.idle
        if not workers and not idle:
            self._flush()
        return presence.may_leave(workers, idle, time.monotonic())

    def _flush(self) -> None:
        """Nobody is there to send more: a batch need not wait to fill."""
        if not self._flushing.is_set():
            self._flushing.set()
            self._delivery.drain(
                give_up=True, timeout_s=LONGEST_DRAIN_S, on_done=lambda *_: self._flushing.clear()
            )

    def _keep_house(self) -> None:
        """Take over what workers left behind, and let go of what was kept for those that are gone."""
        sessions = [peer.session for peer in self._receiver.workers if peer.session is not None]
        alive = frozenset(session.id for session in sessions)
        connected = frozenset(each.application_id for session in sessions for each in session.applications)
        self._registry.connected(connected)
        self._remote_config.connected(connected)
        with contextlib.suppress(SpoolError):  # Told where events are to be stored.
            if self._spool.look_after():
                self._delivery.notify()
        adopt(self._options.directory, self._intake, alive, self._receiver.commit)
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_EVERY_S
            with contextlib.suppress(SpoolError):
                self._spool.forget_sessions(SESSION_KEPT_S, alive)

    def _leave(self) -> None:
        deadline = time.monotonic() + self._options.drain_s
        self._options.socket.unlink(missing_ok=True)
        self._remote_config.close(CUT_OFF_S)
        self._receiver.stop_accepting()
        self._receiver.read_out(time.monotonic() + READ_OUT_S)
        if not self._options.embedded:
            self._deliver_until(deadline)
        self._receiver.close()
        self._delivery.close(max(0.0, deadline - time.monotonic()))
        self._spool.close()

    def _deliver_until(self, deadline: float) -> None:
        done = threading.Event()
        self._delivery.drain(
            give_up=True, timeout_s=self._options.drain_s, on_done=lambda delivered, reason: done.set()
        )
        while not done.is_set() and time.monotonic() < deadline and self._leaving < 2:
            self._receiver.step(0.05)

    def _ask_to_leave(self) -> None:
        self._leaving += 1


@contextlib.contextmanager
def _signals(wakeup: Wakeup, ask_to_leave: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT ask to leave; the wake-up ends a wait in progress. Restores what was there."""
    before = {
        number: signal.signal(number, lambda *_: ask_to_leave()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    descriptor = signal.set_wakeup_fd(wakeup.write_fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)

"""The shipper process: puts receiver, intake, spool and delivery together, and takes them apart in order.

Leaving is written down once, in ``_leave``: stop accepting → read what was sent → append → acknowledge →
upload until the deadline → close. What is not delivered by then stays in the spool for the next start.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from moesifasgi.quiet import say
from moesifasgi.shipper.adoption import adopt
from moesifasgi.shipper.delivery import Delivery
from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.liveness import Pulse
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.presence import Presence
from moesifasgi.shipper.receiver.unix import Receiver
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.reloads import Reloads
from moesifasgi.shipper.remote_config import RemoteConfig
from moesifasgi.shipper.signals import heeded
from moesifasgi.shipper.socket_place import SocketPlace
from moesifasgi.shipper.spool import Spool, SpoolError
from moesifasgi.shipper.status import document, policies_of
from moesifasgi.shipper.supervision import Supervision
from moesifasgi.shipper.terms import Terms
from moesifasgi.shipper.uploader import Uploader

LEAVING_S = 10.0
"""Longest time for all of leaving but the delivery: reading out, settling, closing."""
STEP_S = 0.25
"""How often the loop looks at its own affairs, beside those of its peers."""
SESSION_KEPT_S = 86_400.0
"""How long the sequence of a session that never said BYE is remembered, in case it comes back."""
FORGET_EVERY_S = 3600.0
LONGEST_DRAIN_S = 3600.0
"""A drain is forgotten after it; who asked has its own, shorter patience."""
CUT_OFF_S = 0.5
"""Longest wait for the remote configuration to end; its requests are cut off."""
HAND_OVER_S = 2.0
"""Longest wait for uploads under way where another shipper takes over; what is cut off is uploaded again."""
TELL_EVERY_S = 5.0
"""How often the service manager is told how things are."""
ASK_S = 2.0
"""How long a monitor waits for the loop to answer."""
READ_OUT_S = 2.0
"""Longest time for reading what workers have sent before leaving."""

logger = logging.getLogger("moesifasgi.shipper")


class Daemon:
    """One shipper over an open spool. ``run`` returns when it has left.

    ``reloads``: what SIGHUP brings; None: it is ignored.
    """

    def __init__(self, options: Options, spool: Spool, reloads: Reloads | None = None) -> None:
        terms = options.terms
        self._options = options
        self._terms = terms
        self._reloads = reloads
        self._spool = spool
        self._started_at = time.monotonic()
        self._registry = Registry(spool, terms.overrides)
        self._remote_config = RemoteConfig(spool, self._push)
        self._registry.watch(self._remote_config.learned, self._forget_application)
        self._supervision = Supervision(options.metrics, options.standstill_s)
        self._uploader = Uploader(
            on_tags=self._remote_config.tags_named,
            on_upload=self._supervision.observe,
            may_write_files=options.embedded,
        )
        self._delivery = Delivery(spool, self._registry, self._uploader)
        self._delivery.reconsider(terms.overrides.paces)
        self._spool.limit(terms.limits)
        self._leaving = self._rounds = 0
        self._handing_over = self._reload_asked = self._superseded = False
        self._forget_at = self._tell_at = 0.0
        self._flushing = threading.Event()
        self._place = SocketPlace(options.socket, self._supervision.listener)
        listener = self._place.listener(terms.socket_mode, terms.socket_gid)
        self._intake = Intake(spool, self._registry)
        self._receiver = Receiver(listener, self._intake, self, terms.admission)

    def run(self) -> None:
        """Serve until it is time to leave."""
        reload = None if self._reloads is None else self._ask_to_reload
        with heeded(self._receiver.wakeup, self._ask_to_leave, reload):
            self._delivery.start()
            self._remote_config.start()
            self._supervision.start(
                {"intake": self._pulse, "delivery": lambda: self._delivery.pulse}, self._ask
            )
            logger.info("shipper %d serves %s", os.getpid(), self._options.socket)
            self._supervision.ready()
            self._serve()
            self._supervision.stopping(self._terms.drain_s + LEAVING_S)
            self._leave()
            self._supervision.close()
            logger.info("shipper %d leaves", os.getpid())

    @property
    def spool(self) -> Spool:
        return self._spool

    def appended(self) -> None:
        self._delivery.notify()

    def drain(
        self, *, give_up: bool, application_ids: frozenset[str] | None, on_done: Callable[[bool, str], None]
    ) -> Callable[[], None]:
        return self._delivery.drain(
            give_up=give_up, timeout_s=LONGEST_DRAIN_S, on_done=on_done, application_ids=application_ids
        )

    def supersede(self) -> None:
        if self._options.embedded:
            logger.info("shipper %d gives way to a newer version's", os.getpid())
            self._superseded = True

    def status(self) -> dict[str, Any]:
        policies = policies_of(self._remote_config.status(), self._receiver.reports())
        uptime_s = time.monotonic() - self._started_at
        delivery = self._delivery.status()
        delivery["reasons"] += [
            *self._place.reasons,
            *self._receiver.reasons,
            *self._supervision.reasons,
        ]
        found = document(self._spool, delivery, policies, uptime_s)
        found["metrics"] = None if self._options.metrics is None else str(self._options.metrics)
        found["notes"] += self._supervision.notes
        if self._reloads is not None:
            found["notes"] += self._reloads.notes
            found["configuration"] = self._reloads.status()
        return found

    def hand_over(self) -> bool:
        """Leave soon, for another shipper that takes over socket and spool; False: this one does not."""
        if self._options.embedded:
            return False
        self._handing_over = True
        self._leaving += 1
        return True

    def _pulse(self) -> Pulse:
        """One look at this loop. It leaves by deadlines of its own."""
        return Pulse(self._rounds, is_due=not self._leaving)

    def _ask(self) -> dict[str, Any] | None:
        """The whole status document, from any thread; None where the loop does not answer in time."""
        answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

        def answer() -> None:
            try:
                answers.put({**self.status(), **self._receiver.status()})
            except SpoolError:
                answers.put(None)

        self._receiver.post(answer)
        try:
            return answers.get(timeout=ASK_S)
        except queue.Empty:
            return None

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
            self._rounds += 1
            if self._reload_asked:
                self._reload()
            if time.monotonic() < look_at and not self._leaving:
                continue
            look_at = time.monotonic() + STEP_S
            self._keep_house()
            if self._may_leave(presence):
                return

    def _may_leave(self, presence: Presence) -> bool:
        if not self._options.embedded:
            return self._leaving > 0
        if self._superseded:
            return True
        if self._leaving:
            presence.ask_to_leave()
        # Who can still write to a queue is a worker, or a master that will start some.
        workers, idle = len(self._receiver.workers) + self._receiver.queues, self._delivery.idle
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
        if self._supervision.has_manager and time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + TELL_EVERY_S
            with contextlib.suppress(SpoolError):
                self._supervision.tell({**self.status(), **self._receiver.status()})
        if (remade := self._place.look(self._terms.socket_mode, self._terms.socket_gid)) is not None:
            self._receiver.listen(remade)
        with contextlib.suppress(SpoolError):  # Told where events are to be stored.
            if self._spool.look_after():
                self._delivery.notify()
        try:
            adopt(self._options.directory, self._intake, alive, self._receiver.commit)
        except OSError as error:
            say("leftovers", "what workers left behind cannot be taken for now: %s", error)
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_EVERY_S
            with contextlib.suppress(SpoolError):
                self._spool.forget_sessions(SESSION_KEPT_S, alive)

    def _reload(self) -> None:
        self._reload_asked = False
        self._supervision.reloading()
        terms = None if self._reloads is None else self._reloads.again()
        if terms is not None:
            self._agree(terms)
        self._supervision.ready()

    def _agree(self, terms: Terms) -> None:
        """From now on these terms hold."""
        self._terms = terms
        if terms.log_level is not None:
            logging.getLogger().setLevel(terms.log_level)
        self._spool.limit(terms.limits)
        self._registry.reconsider(terms.overrides)
        self._receiver.reconsider(terms.admission)
        self._delivery.reconsider(terms.overrides.paces)
        self._place.open_to(terms.socket_mode, terms.socket_gid)
        logger.info("shipper %d has read its configuration again", os.getpid())

    def _leave(self) -> None:
        drain_s = min(HAND_OVER_S, self._terms.drain_s) if self._handing_over else self._terms.drain_s
        deadline = time.monotonic() + drain_s
        self._place.leave()
        self._remote_config.close(CUT_OFF_S)
        self._receiver.stop_accepting()
        self._receiver.read_out(time.monotonic() + READ_OUT_S)
        if not self._options.embedded and not self._handing_over:
            self._deliver_until(deadline)
        self._receiver.close()
        self._delivery.close(max(0.0, deadline - time.monotonic()))
        # Before the lock on the spool goes: a successor listens for monitors at the same address.
        self._supervision.close_monitor()
        self._spool.close()

    def _deliver_until(self, deadline: float) -> None:
        done = threading.Event()
        self._delivery.drain(
            give_up=True, timeout_s=self._terms.drain_s, on_done=lambda delivered, reason: done.set()
        )
        while not done.is_set() and time.monotonic() < deadline and self._leaving < 2:
            self._receiver.step(0.05)

    def _ask_to_leave(self) -> None:
        self._leaving += 1
        if self._leaving > 1 and not self._options.embedded:
            self._delivery.hurry()

    def _ask_to_reload(self) -> None:
        self._reload_asked = True

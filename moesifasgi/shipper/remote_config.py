"""What the dashboard decided, for all applications: fetched, kept in the spool, pushed to workers.

One coordinator thread owns all state (``policy_state``, ``freshness``); requests are made by threads of their
own, at most one at a time for an application, so that a collector that hangs delays neither uploads nor other
applications. What goes wrong changes nothing: the last good policy stays in force, and status says why.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from moesifasgi.policy.policy import Policy
from moesifasgi.quiet import Quiet
from moesifasgi.shipper.clients import Clients
from moesifasgi.shipper.clock import Clock
from moesifasgi.shipper.freshness import Failed, PolicyPace
from moesifasgi.shipper.http import NoAnswer, Timeouts
from moesifasgi.shipper.offline import offline_file
from moesifasgi.shipper.policy_request import Fetched, Part, fetch
from moesifasgi.shipper.policy_state import PolicyState, way_of
from moesifasgi.shipper.spool import SpoolError
from moesifasgi.shipper.upload_threads import UploadThreads
from moesifasgi.wire.application import Application
from moesifasgi.wire.policy_document import unpack

MAX_REQUESTS = 8
"""Under way at once, for different applications."""
TIMEOUTS = Timeouts(connect_s=5.0, read_s=5.0, total_s=10.0)
LONGEST_WAIT_S = 60.0
REST_S = 1.0
"""After a fault of our own nothing is tried for so long."""
QUIET_INTERVAL_S = 600.0
"""How often the log repeats that a policy cannot be had; status says it all the time."""
logger = logging.getLogger("moesifasgi.shipper")

Push = Callable[[str, bytes], None]
"""(application_id, packed document): tell all its workers. Any thread."""
_Results = list[tuple[Part, Fetched | Failed]]


class PolicySpool(Protocol):
    """Where policies outlive the process."""

    def remember_policy(self, application_id: str, policy: bytes) -> None: ...

    def policies(self) -> dict[str, bytes]: ...


class RemoteConfig:
    """``learned``, ``connected``: from one thread. ``tags_named``, ``status``, ``close``: from any."""

    def __init__(
        self,
        spool: PolicySpool,
        push: Push,
        *,
        clock: Clock | None = None,
        random01: Callable[[], float] = random.random,
        pace: PolicyPace | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self._spool = spool
        self._push = push
        self._clock = clock or Clock()
        self._random01 = random01
        self._pace = pace or PolicyPace()
        self._quiet = Quiet(logger, QUIET_INTERVAL_S)
        self._clients = Clients(timeouts)
        self._threads = UploadThreads("moesif-policy")
        self._states: dict[str, PolicyState] = {}
        self._stored: dict[str, bytes] = {}
        self._connected: frozenset[str] | None = None
        self._in_flight = 0
        self._mailbox: queue.SimpleQueue[Callable[[float], None]] = queue.SimpleQueue()
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Push what the spool has kept, and begin."""
        try:
            self._stored = self._spool.policies()
        except SpoolError as error:
            self._quiet.say("kept policies", "the policies that were kept cannot be read: %s", error)
        for application_id, kept in self._stored.items():
            state = PolicyState(self._pace, self._clock.monotonic(), kept)
            self._states[application_id] = state
            self._put_in_force(application_id, state)
        self._thread = threading.Thread(target=self._run, name="moesif-remote-config", daemon=True)
        self._thread.start()

    def learned(self, application: Application) -> None:
        """A worker of this application said HELLO, here or in what it left behind."""
        if offline_file(application) is not None:
            return  # Nobody is asked anything for it.
        self._connected = None
        self._mailbox.put(partial(self._learn, application))

    def forget(self, application_id: str) -> None:
        """Nothing of this application is here any more; its policy goes, until its next HELLO."""
        self._mailbox.put(lambda now: self._forget(application_id))

    def connected(self, application_ids: frozenset[str]) -> None:
        """These have workers here; the policies of all others are not asked for until their next HELLO."""
        if application_ids != self._connected:
            self._connected = application_ids
            self._mailbox.put(partial(self._rest_without, application_ids))

    def tags_named(self, application_id: str, config_tag: str | None, rules_tag: str | None) -> None:
        """An answer to an upload named these tags."""
        self._mailbox.put(partial(self._name, application_id, config_tag, rules_tag))

    def status(self) -> dict[str, dict[str, Any]]:
        """What is known of each application's policy, by application id."""
        now = self._clock.monotonic()
        return {application_id: state.status(now) for application_id, state in list(self._states.items())}

    def close(self, deadline_s: float) -> None:
        """Cut off requests under way, and end. May be called twice."""
        self._closing = True
        self._mailbox.put(lambda now: None)
        self._clients.close()
        if self._thread is not None:
            self._thread.join(deadline_s)

    def _run(self) -> None:
        while not self._closing:
            try:
                self._receive(self._wait_s())
                self._ask_what_is_due(self._clock.monotonic())
            except Exception as error:  # noqa: BLE001  (the one boundary: a fault must not end the service)
                self._quiet.say(
                    "policy fault", "fault in the remote configuration: %r", error, level=logging.ERROR
                )
                time.sleep(REST_S)
        self._threads.close()

    def _wait_s(self) -> float:
        if self._in_flight >= MAX_REQUESTS:
            return LONGEST_WAIT_S
        due_at = min((state.due_at for state in self._states.values()), default=float("inf"))
        return min(LONGEST_WAIT_S, max(0.0, due_at - self._clock.monotonic()))

    def _receive(self, wait_s: float) -> None:
        """Wait for messages, and take all there are."""
        try:
            self._mailbox.get(timeout=wait_s)(self._clock.monotonic())
            while True:
                self._mailbox.get_nowait()(self._clock.monotonic())
        except queue.Empty:
            return

    def _learn(self, application: Application, now: float) -> None:
        state = self._states.setdefault(application.application_id, PolicyState(self._pace, now))
        state.learn(application, now)

    def _forget(self, application_id: str) -> None:
        self._stored.pop(application_id, None)
        state = self._states.get(application_id)
        if state is not None and not state.awaited and not state.in_flight:
            del self._states[application_id]

    def _rest_without(self, application_ids: frozenset[str], now: float) -> None:
        for application_id, state in self._states.items():
            state.awaited &= application_id in application_ids

    def _name(self, application_id: str, config_tag: str | None, rules_tag: str | None, now: float) -> None:
        if (state := self._states.get(application_id)) is not None:
            state.named((config_tag, rules_tag), now)

    def _ask_what_is_due(self, now: float) -> None:
        for state in self._states.values():
            if self._in_flight >= MAX_REQUESTS or self._closing:
                return
            if state.application is not None and state.due_at <= now:
                self._threads.run(partial(self._ask, state.application, state.due(now)), self._in_flight + 1)
                state.in_flight = True
                self._in_flight += 1

    def _ask(self, application: Application, due: list[tuple[Part, str | None]]) -> None:
        """On a thread of its own."""
        results: _Results = [(part, self._answer(application, part, tag)) for part, tag in due]
        self._mailbox.put(partial(self._take, application, results))

    def _answer(self, application: Application, part: Part, tag: str | None) -> Fetched | Failed:
        try:
            http = self._clients.client(application, connections=1)
            return fetch(http, application, part, tag, self._clock.wall())
        except NoAnswer as error:
            return Failed(str(error))
        except Exception as error:  # noqa: BLE001  # a fault of ours must not stop the checks for good
            return Failed(f"fault in the shipper: {type(error).__name__}")

    def _take(self, application: Application, results: _Results, now: float) -> None:
        self._in_flight -= 1
        state = self._states[application.application_id]
        state.in_flight = False
        assert state.application is not None
        if way_of(state.application) != way_of(application):
            return  # Another collector's answer; the right one is asked next.
        before = state.document
        for part, result in results:
            state.take(part, result, now, self._random01())
        if state.reason and not self._closing:
            label = application.label
            self._quiet.say(f"policy {label}", "the policy of %s cannot be had: %s", label, state.reason)
        if state.document != before:
            self._put_in_force(application.application_id, state)
            logger.info("a new policy of %s with %d rules is in force", application.label, state.rules)
        self._keep(application.application_id, state)

    def _put_in_force(self, application_id: str, state: PolicyState) -> None:
        document = state.document
        if document is not None:
            state.rules, state.faults = _looked_over(document)
            self._push(application_id, document)

    def _keep(self, application_id: str, state: PolicyState) -> None:
        kept = state.to_keep()
        if state.document is None or self._stored.get(application_id) == kept:
            return
        try:
            self._spool.remember_policy(application_id, kept)
            self._stored[application_id] = kept
        except SpoolError as error:
            # In force all the same; the next answer tries again.
            self._quiet.say("policy not kept", "a policy could not be kept for the next start: %s", error)


def _looked_over(document: bytes) -> tuple[int, tuple[str, ...]]:
    """How many rules there are, and what of the policy will not be enforced: for people to see."""
    try:
        policy = unpack(document)
        return len(policy["rules"]), Policy.compile(policy, clock=time.monotonic).faults
    except Exception as error:  # noqa: BLE001  (workers judge for themselves; this is only what is shown)
        return 0, (f"it cannot be looked over: {type(error).__name__}",)

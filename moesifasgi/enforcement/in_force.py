"""The policy that a worker enforces: compiled once an application and process, when the dashboard changes.

A request takes the policy once, at its start. The next one is compiled on a thread of its own, since a large
one takes seconds in which the channel has acknowledgements to take, and then put in its place in one step: a
request sees the old one or the new one, whole.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from moesifasgi.channel import Channel
from moesifasgi.policy.policy import NO_POLICY, Policy
from moesifasgi.quiet import say

REPORT_INTERVAL_S = 1.0
"""How often it is looked at whether a rule was parked. A rule stays parked for a minute."""
COMPILE_WAIT_S = 0.25
"""How long whoever brings a policy waits for it to be in force: the usual ones take a few milliseconds."""


class PolicyInForce:
    """One application's policy; ``NO_POLICY`` as long as there is nothing to decide."""

    __slots__ = (
        "_channel",
        "_clock",
        "_compiler",
        "_documents",
        "_first_match",
        "_key",
        "_look_at",
        "_reported",
        "policy",
    )

    def __init__(
        self, channel: Channel, key: int, *, first_match: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.policy = NO_POLICY
        self._channel = channel
        self._key = key
        self._first_match = first_match
        self._clock = clock
        self._reported: tuple[str, ...] = ()
        self._look_at = 0.0
        # Only the newest counts; it stays here until it is in force, or understood to be of no use.
        self._documents: deque[Mapping[str, Any]] = deque(maxlen=1)
        self._compiler: threading.Thread | None = None
        channel.watch(key, self._change)

    def report(self) -> None:
        """Tell the shipper which rules ran out of their time, if that has changed.

        On the request path, before a decision: what it leads to is told with a later request.
        """
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + REPORT_INTERVAL_S
        try:
            parked = self.policy.parked()
            if parked != self._reported:
                self._reported = parked
                self._channel.report(self._key, parked)
        except Exception as error:  # noqa: BLE001  (the request goes on)
            say("parked", "what runs out of its time could not be reported (%s)", type(error).__name__)

    def resume(self) -> None:
        """In a forked child: the thread that compiled is the parent's."""
        if self._documents:
            self._start_compiler()

    def _change(self, document: Mapping[str, Any]) -> None:
        # One at a time calls this (see Channel.watch).
        self._documents.append(document)
        while self._documents:
            compiler = self._compiler
            if compiler is None or not compiler.is_alive():
                compiler = self._start_compiler()
            compiler.join(COMPILE_WAIT_S)
            if compiler.is_alive():
                return  # When it is through with what it has, it goes on with this one.

    def _start_compiler(self) -> threading.Thread:
        self._compiler = threading.Thread(target=self._compile, name="moesif-policy", daemon=True)
        self._compiler.start()
        return self._compiler

    def _compile(self) -> None:
        """Until the newest document is in force."""
        while self._documents:
            document = self._documents[0]
            self._put_in_force(self._compiled(document))
            # By then a newer one may have come in its place, which is next.
            with suppress(ValueError, IndexError):
                self._documents.remove(document)

    def _compiled(self, document: Mapping[str, Any]) -> Policy | None:
        try:
            return Policy.compile(document, first_match=self._first_match, clock=self._clock)
        except Exception as error:  # noqa: BLE001  (a policy that cannot be understood changes nothing)
            say("policy", "a new policy was not understood, the last one stays (%s)", type(error).__name__)
            return None

    def _put_in_force(self, policy: Policy | None) -> None:
        if policy is None:
            return
        is_idle = policy.sampling.everything and policy.governance.empty
        # One that decides nothing costs a request nothing.
        self.policy = NO_POLICY if is_idle else policy
        if self._reported:
            # No request may come to say it: the patterns that were parked are gone.
            self._reported = ()
            self._channel.report(self._key, ())


_lock = threading.Lock()
_in_force: dict[tuple[int, int, bool], PolicyInForce] = {}


def policy_in_force(channel: Channel, key: int, *, first_match: bool) -> PolicyInForce:
    """The one of this process, shared by all middlewares of an application."""
    name = (id(channel), key, first_match)
    with _lock:
        if name not in _in_force:
            # It holds the channel, so the number stays the channel's own.
            _in_force[name] = PolicyInForce(channel, key, first_match=first_match)
        return _in_force[name]


def _resume_all() -> None:
    global _lock
    _lock = threading.Lock()
    for each in _in_force.values():
        each.resume()


os.register_at_fork(after_in_child=_resume_all)

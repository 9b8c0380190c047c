"""The policy that a worker enforces: compiled once an application and process, when the dashboard changes.

A request takes the policy once, at its start. The next one is compiled on the channel's thread and then put
in its place in one step, so a request sees the old one or the new one, whole.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from moesifasgi.channel import Channel
from moesifasgi.policy.policy import NO_POLICY, Policy
from moesifasgi.quiet import say

REPORT_INTERVAL_S = 1.0
"""How often it is looked at whether a rule was parked. A rule stays parked for a minute."""


class PolicyInForce:
    """One application's policy; ``NO_POLICY`` as long as there is nothing to decide."""

    __slots__ = ("_channel", "_clock", "_first_match", "_key", "_look_at", "_reported", "policy")

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

    def _change(self, document: Mapping[str, Any]) -> None:
        try:
            policy = Policy.compile(document, first_match=self._first_match, clock=self._clock)
        except Exception as error:  # noqa: BLE001  (a policy that cannot be understood changes nothing)
            say("policy", "a new policy was not understood, the last one stays (%s)", type(error).__name__)
            return
        is_idle = policy.sampling.everything and policy.governance.empty
        # One that decides nothing costs a request nothing.
        self.policy = NO_POLICY if is_idle else policy


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

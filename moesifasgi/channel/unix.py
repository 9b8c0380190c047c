"""The Unix channel: a Carrier, and what becomes of it when the process forks."""

import os
import weakref
from collections.abc import Sequence

from moesifasgi.channel import Dialer, Drained
from moesifasgi.channel.carrier import Carrier
from moesifasgi.channel.policies import Listener, Policies
from moesifasgi.channel.queue import QueueSource
from moesifasgi.counters import Counters
from moesifasgi.errors import SettingsError
from moesifasgi.quiet import say
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import MAX_KEY
from moesifasgi.wire.ring import Offer


class UnixChannel:
    """Implements ``Channel`` over a Unix stream socket, and a queue for the events where there is one.

    ``max_events`` and ``max_bytes`` bound the ring (EVENT_QUEUE_SIZE, EVENT_QUEUE_BYTES).
    """

    def __init__(
        self, dialer: Dialer, max_events: int, max_bytes: int, queue: QueueSource | None = None
    ) -> None:
        self._dialer = dialer
        self._queue = queue
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._applications: list[Application] = []
        self._policies = Policies()
        self._carrier = self._begin()
        _channels.add(self)

    @property
    def counters(self) -> Counters:
        """This process's counters; a forked child counts from zero."""
        return self._carrier.counters

    def register(self, application: Application) -> int:
        """See ``Channel.register``. SettingsError above ``MAX_KEY`` applications in one process."""
        if application in self._applications:
            return self._applications.index(application)
        if len(self._applications) > MAX_KEY:
            raise SettingsError(
                [f"APPLICATION_ID: expected at most {MAX_KEY + 1} different ones in a process"]
            )
        self._applications.append(application)
        self._carrier.introduce(application)
        return len(self._applications) - 1

    def offer(self, kind: int, key: int, payload: bytes) -> Offer:
        carrier = self._carrier
        if carrier.pid != os.getpid():
            # A fork that Python's hooks did not see.
            self.begin_anew()
            carrier = self._carrier
        return carrier.offer(kind, key, payload)

    def start(self) -> None:
        self._carrier.start()

    def drain(self, timeout_s: float, *, give_up: bool) -> Drained:
        return self._carrier.drain(timeout_s, give_up=give_up)

    def watch(self, key: int, listener: Listener) -> None:
        self._policies.watch(key, listener)

    def report(self, key: int, lines: Sequence[str]) -> None:
        self._policies.report(key, lines)

    def stats(self) -> dict[str, int]:
        return self._carrier.stats()

    def close(self) -> None:
        self._carrier.close()

    def begin_anew(self) -> None:
        """In a forked child: a session, ring, counters and locks of its own, nothing of the parent's."""
        try:
            self._carrier.abandon()
        except Exception as error:  # noqa: BLE001  (the child captures, and the next channel has its turn)
            say("fork", "a forked child could not let go of all that is its parent's: %r", error)
        self._policies.start_afresh()
        self._carrier = self._begin()

    def _begin(self) -> Carrier:
        bounds = self._max_events, self._max_bytes
        return Carrier(self._dialer, self._applications, self._policies, *bounds, self._queue)


_channels: "weakref.WeakSet[UnixChannel]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for channel in list(_channels):
        channel.begin_anew()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""A channel that keeps what it is offered: for tests, and for trying a configuration without a shipper."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from moesifasgi.channel import Drained
from moesifasgi.channel.policies import Listener, Policies
from moesifasgi.counters import Counters
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import PREFIX
from moesifasgi.wire.messages import Event
from moesifasgi.wire.ring import Offer, Ring


class MemoryChannel:
    """Implements ``Channel`` over the same ring as the real one, with nobody at the other end."""

    def __init__(self, max_events: int = 10_000, max_bytes: int = 32 * 1024 * 1024) -> None:
        self.applications: list[Application] = []
        self.events: list[Event] = []
        self._lock = threading.Lock()
        self._ring = Ring(max_events, max_bytes)
        self.counters = Counters()
        self.policies = Policies()

    def register(self, application: Application) -> int:
        if application not in self.applications:
            self.applications.append(application)
        return self.applications.index(application)

    def offer(self, kind: int, key: int, payload: bytes) -> Offer:
        with self._lock:
            fate = self._ring.offer(kind, key, payload)
            for framed in self._ring.take(0, 1):
                event = decode(framed[PREFIX.size :])
                assert isinstance(event, Event)
                self.events.append(event)
        return fate

    def start(self) -> None:
        """Nothing to connect to."""

    def drain(self, timeout_s: float, *, give_up: bool) -> Drained:
        return Drained(delivered=not self.events, reason="kept in memory" if self.events else "")

    def watch(self, key: int, listener: Listener) -> None:
        self.policies.watch(key, listener)

    def report(self, key: int, lines: Sequence[str]) -> None:
        self.policies.report(key, lines)

    def push(self, key: int, document: Mapping[str, Any]) -> None:
        """Tell those who watch a new policy document, on the caller's thread, as a shipper would."""
        self.policies.take(key, msgpack.packb(document))

    def stats(self) -> dict[str, int]:
        return {**self.counters.snapshot(), "ring_events": len(self._ring), "ring_bytes": self._ring.bytes}

    def close(self) -> None:
        """Nothing is held."""

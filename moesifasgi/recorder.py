"""From a finished exchange to the channel: pack, offer, count. The boundary that nothing is raised across.

One Recorder per middleware. ``begin`` to ``finish`` are called on the request path; whatever goes wrong in
them is counted, logged at most once a minute, and costs that one event.
"""

import random
import threading
import time
import uuid
from fnmatch import fnmatchcase
from typing import Any

import msgpack

from moesifasgi.channel import Channel
from moesifasgi.event.record import Record
from moesifasgi.exchange import Exchange, Message, Scope
from moesifasgi.policy.sampling import weight_of
from moesifasgi.quiet import say
from moesifasgi.settings import CaptureSettings, Settings
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer


class _Packer(threading.local):
    """One msgpack packer a thread: making one costs more than packing an event, and it is not thread-safe."""

    def __init__(self) -> None:
        # Lone surrogates in a path that a server decoded leniently must not cost the event.
        self.pack = msgpack.Packer(autoreset=True, unicode_errors="replace").pack


_packer = _Packer()
_first: "Recorder | None" = None


def remember_recorder(recorder: "Recorder") -> None:
    """Called by each middleware; the first one's application is whom the package's plain functions serve."""
    global _first
    _first = _first or recorder


def first_recorder() -> "Recorder | None":
    """See ``remember_recorder``."""
    return _first


class Recorder:
    """Turns exchanges and update calls of one application into frames."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        capture = settings.capture
        self.channel = channel
        self._key = channel.register(settings.application())
        self._request_limit_bytes = capture.max_body_bytes if capture.log_request_body else None
        self._response_limit_bytes = capture.max_body_bytes if capture.log_response_body else None
        self._capture = capture
        self._identifies = not capture.disabled_transaction_id
        self._records_all = not (capture.exclude_methods or capture.exclude_paths) and capture.sample_rate >= 100

    def begin(self, scope: Scope) -> Exchange | None:
        """An exchange for this request, or None where it is not to be recorded."""
        try:
            if not self._records_all and not self._records(scope):
                return None
            return Exchange(
                scope, str(uuid.uuid4()), time.time(), self._request_limit_bytes, self._response_limit_bytes
            )
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self.channel.counters.add("captured")
            self._lost("begin", error)
            return None

    def received(self, exchange: Exchange, message: Message) -> None:
        """Show the exchange what the application got."""
        try:
            exchange.received(message)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._abandon(exchange, error)

    def outgoing(self, exchange: Exchange, message: Message) -> Message:
        """What the server is to get for a message of the application's."""
        try:
            if message["type"] == "http.response.start":
                return exchange.starting(message, identified=self._identifies)
        except Exception:  # noqa: BLE001  (not a message: the server has to say so)
            pass
        return message

    def sent(self, exchange: Exchange, message: Message) -> None:
        """Show the exchange what the server took; the last of it ends the exchange."""
        try:
            over = exchange.sent(message)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._abandon(exchange, error)
            return
        if over:
            self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """The exchange is over: hand its record over."""
        self.channel.counters.add("captured")
        try:
            record = exchange.record(time.time(), weight_of(self._capture.sample_rate, random.random))
            self._hand_over(Kind.RECORD, record)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._lost("finish", error)

    def hand_over(self, kind: Kind, content: dict[str, Any]) -> None:
        """Any other object (an update call), already checked."""
        self.channel.counters.add("captured")
        try:
            self._hand_over(kind, content)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._lost("hand over", error)

    def refuse(self, kind: Kind, why: str) -> None:
        """An update call that cannot be: a person's mistake, so the line says what was expected."""
        self.channel.counters.add("captured")
        self.channel.counters.drop("invalid_update")
        say(f"invalid {kind.name}", "%s update was dropped: %s", kind.name.lower(), why)

    def _hand_over(self, kind: Kind, content: Record | dict[str, Any]) -> None:
        counters = self.channel.counters
        try:
            payload = _packer.pack(content)
        except (TypeError, ValueError, OverflowError) as error:
            counters.drop("unserialisable")
            say("unserialisable", "an event could not be packed: %s", type(error).__name__)
            return
        fate = self.channel.offer(kind, self._key, payload)
        if fate is not Offer.ACCEPTED:
            counters.drop(fate.value)
            say(f"dropped {fate.value}", "an event was dropped: %s", _WHY[fate])

    def _records(self, scope: Scope) -> bool:
        capture = self._capture
        counters = self.channel.counters
        if _excluded(capture, scope.get("method", ""), scope.get("path", "")):
            counters.add("captured")
            counters.add("skipped")
            return False
        if random.random() * 100 >= capture.sample_rate:
            counters.add("captured")
            counters.add("sampled_out")
            return False
        return True

    def _abandon(self, exchange: Exchange, error: Exception) -> None:
        """The exchange met something that is no ASGI message: the application goes on without it."""
        if not exchange.finished:
            exchange.finished = True
            self.channel.counters.add("captured")
            self._lost("an exchange", error)

    def _lost(self, where: str, error: Exception) -> None:
        self.channel.counters.drop("internal_error")
        say(f"internal error in {where}", "an event was lost to an internal error (%s)", type(error).__name__)


_WHY = {
    Offer.FULL: "the queue in memory is full (EVENT_QUEUE_SIZE, EVENT_QUEUE_BYTES)",
    Offer.TOO_LARGE: "it is larger than a frame may be",
    Offer.DOWN: "the channel is closed",
}


def _excluded(capture: CaptureSettings, method: str, path: str) -> bool:
    return method in capture.exclude_methods or any(
        fnmatchcase(path, pattern) for pattern in capture.exclude_paths
    )

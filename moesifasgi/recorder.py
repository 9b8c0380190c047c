"""From a finished exchange to the channel: pack, offer, count. The boundary that nothing is raised across.

One Recorder per middleware. ``admits`` to ``lost`` are called on the request path; whatever goes wrong in
them is counted, logged at most once a minute, and costs that one event.
"""

import random
import threading
import time
from collections.abc import Coroutine
from fnmatch import fnmatchcase
from logging import DEBUG
from typing import Any

import msgpack

from moesifasgi.channel import Channel
from moesifasgi.event.content_types import ContentTypes
from moesifasgi.event.record import Record
from moesifasgi.exchange import Exchange, Scope
from moesifasgi.pipeline import Content, Pipeline
from moesifasgi.policy.sampling import weight_of
from moesifasgi.quiet import say
from moesifasgi.settings import CaptureSettings, Settings
from moesifasgi.steps import Steps, waiting
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer


class _Packer(threading.local):
    """One msgpack packer a thread: making one costs more than packing an event, and it is not thread-safe."""

    def __init__(self) -> None:
        # Lone surrogates in a path that a server decoded leniently must not cost the event.
        self.pack = msgpack.Packer(autoreset=True, unicode_errors="replace").pack


_packer = _Packer()
# Looking a member up in its enum takes longer than calling a function (3.11); these are on the request path.
_RECORD, _ACCEPTED = int(Kind.RECORD), Offer.ACCEPTED
_recorders: dict[str, "Recorder"] = {}


def remember_recorder(recorder: "Recorder") -> None:
    """Called for each middleware, for the package's plain functions; an application's first counts."""
    _recorders.setdefault(recorder.application_id, recorder)


def recorder_of(application_id: str | None) -> "Recorder | None":
    """The recorder of an application; of the first middleware in this process for None."""
    if application_id is None:
        return next(iter(_recorders.values()), None)
    return _recorders.get(application_id)


class Recorder:
    """Turns exchanges and update calls of one application into frames."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        capture = settings.capture
        self.channel = channel
        self.application_id = settings.delivery.application_id
        self.request_limit_bytes = capture.max_body_bytes if capture.log_request_body else None
        self.response_limit_bytes = capture.max_body_bytes if capture.log_response_body else None
        self.content_types = ContentTypes(capture.log_content_types) if capture.log_content_types else None
        """The only ones whose bodies are recorded; None: all."""
        self.identifies = not capture.disabled_transaction_id
        """Whether responses carry their transaction id."""
        self._key = channel.register(settings.application())
        self._capture = capture
        self._pipeline = Pipeline(settings, channel) if Pipeline.needed(settings) else None
        self._debug = capture.debug
        self._samples = capture.sample_rate < 100
        self._chooses = bool(self._samples or capture.exclude_methods or capture.exclude_paths)

    def admits(self, scope: Scope) -> bool:
        """Whether this request is to be recorded; one that is not is counted."""
        return not self._chooses or self._chosen(scope)

    def finish(self, exchange: Exchange, *, in_place: bool = True) -> Coroutine[Any, Any, None] | None:
        """The exchange is over: hand its record over, after the user's functions.

        A coroutine that comes back is the rest of that, to be awaited at once (not on asyncio, where it is a
        task); without ``in_place`` none does.
        """
        self.channel.counters.add("captured")
        try:
            weight = weight_of(self._capture.sample_rate, random.random) if self._samples else 1
            record = exchange.record(time.time(), weight)
            pipeline = self._pipeline
            if pipeline is not None:
                steps = self._completed(pipeline.content(record, exchange.scope()))
                return waiting.run(steps, pipeline.timeout_s, in_place=in_place)
            self._hand_over(_RECORD, record)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._failed("finish", error)
        return None

    def abandon(self, exchange: Exchange, error: Exception) -> None:
        """The exchange met something that is no ASGI message: the application goes on without it."""
        if not exchange.finished:
            exchange.finished = True
            self.lost("an exchange", error)

    def lost(self, where: str, error: Exception) -> None:
        """A request of which no record could be made."""
        self.channel.counters.add("captured")
        self._failed(where, error)

    def hand_over(self, kind: int, content: dict[str, Any]) -> None:
        """Any other object (an update call), already checked."""
        self.channel.counters.add("captured")
        try:
            self._hand_over(kind, content)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._failed("hand over", error)

    def refuse(self, kind: Kind, why: str) -> None:
        """An update call that cannot be: a person's mistake, so the line says what was expected."""
        self.channel.counters.add("captured")
        self.channel.counters.drop("invalid_update")
        say(f"invalid {kind.name}", "%s update was dropped: %s", kind.name.lower(), why)

    def _completed(self, steps: Steps[Content | None]) -> Steps[None]:
        try:
            content = yield from steps
            if content is None:
                self.channel.counters.add("skipped")
            else:
                self._hand_over(*content)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._failed("finish", error)

    def _hand_over(self, kind: int, content: Record | dict[str, Any]) -> None:
        counters = self.channel.counters
        try:
            payload = _packer.pack(content)
        except (TypeError, ValueError, OverflowError) as error:
            counters.drop("unserialisable")
            say("unserialisable", "an event could not be packed: %s", type(error).__name__)
            return
        fate = self.channel.offer(kind, self._key, payload)
        if fate is not _ACCEPTED:
            counters.drop(fate.value)
            say(f"dropped {fate.value}", "an event was dropped: %s", _WHY[fate])
        elif self._debug:
            say("debug", "events are recorded; the counters: %s", counters.snapshot(), level=DEBUG)

    def _chosen(self, scope: Scope) -> bool:
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

    def _failed(self, where: str, error: Exception) -> None:
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

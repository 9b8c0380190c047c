"""From a finished exchange to the channel: pack, offer, count. The boundary that nothing is raised across.

One Recorder per middleware. ``rate`` to ``lost`` are called on the request path; whatever goes wrong in
them is counted, logged at most once a minute, and costs that one event.
"""

import threading
import time
from collections.abc import Coroutine, Set
from logging import DEBUG
from typing import Any

import msgpack

from moesifasgi.channel import Channel
from moesifasgi.enforcement.call import Call
from moesifasgi.enforcement.sampler import Sampler
from moesifasgi.event.content_types import ContentTypes
from moesifasgi.event.record import Record
from moesifasgi.exchange import Exchange, Scope
from moesifasgi.pipeline import Content, LeftOut, M, Matter, Pipeline, incoming_pipeline
from moesifasgi.policy.sampling import Sampling
from moesifasgi.quiet import say
from moesifasgi.settings import Settings
from moesifasgi.steps import Steps
from moesifasgi.waiting import waiting
from moesifasgi.wire.application import DEFAULT_BASE_URI
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer


class _Packer(threading.local):
    """One msgpack packer a thread: making one costs more than packing an event, and it is not thread-safe."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        # Lone surrogates in a path that a server decoded leniently must not cost the event.
        self.pack = msgpack.Packer(autoreset=True, unicode_errors="replace").pack


_packer = _Packer()
# Looking a member up in its enum takes longer than calling a function (3.11); these are on the request path.
_RECORD, _ACCEPTED = int(Kind.RECORD), Offer.ACCEPTED
_recorders: dict[str, "Recorder"] = {}
_collectors = {DEFAULT_BASE_URI}


def remember_recorder(recorder: "Recorder") -> None:
    """Called for each middleware, for the package's plain functions; an application's first counts."""
    _recorders.setdefault(recorder.application_id, recorder)
    _collectors.add(recorder.base_uri)


def collectors() -> Set[str]:
    """The collectors of all middlewares in this process (their BASE_URI), and Moesif's own."""
    return _collectors


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
        self.base_uri = settings.delivery.base_uri
        self.request_limit_bytes = capture.max_body_bytes if capture.log_request_body else None
        self.response_limit_bytes = capture.max_body_bytes if capture.log_response_body else None
        self.content_types = ContentTypes(capture.log_content_types) if capture.log_content_types else None
        """The only ones whose bodies are recorded; None: all."""
        self.identifies = not capture.disabled_transaction_id
        """Whether responses carry their transaction id."""
        self.key = channel.register(settings.application())
        self.event_settings = settings.event_settings()
        self._settings_on_wire = self.event_settings.on_wire
        self.sampler = Sampler(settings)
        self.pipeline = incoming_pipeline(settings, channel, self.sampler)
        self._debug = capture.debug

    def rate(self, scope: Scope, sampling: Sampling | None, call: Call) -> float | None:
        """The percentage of such requests that is recorded; None if this one is not, which is counted.

        ``sampling`` has the dashboard's rates, unless they are to be asked for at the end.
        """
        sampler = self.sampler
        if sampler.excludes(scope):
            self.leave_out("skipped")
            return None
        rate = sampler.rate_before(sampling, call)
        if sampler.keeps(rate):
            return rate
        self.leave_out("sampled_out")
        return None

    def finish(self, exchange: Exchange, *, in_place: bool = True) -> Coroutine[Any, Any, None] | None:
        """The exchange is over: hand its record over, after the user's functions.

        A coroutine that comes back is the rest of that, to be awaited at once (not on asyncio, where it is a
        task); without ``in_place`` none does.
        """
        return self.complete(exchange, self.pipeline, in_place=in_place)

    def complete(
        self, matter: M, pipeline: Pipeline[M], *, in_place: bool
    ) -> Coroutine[Any, Any, None] | None:
        """As ``finish``, for a matter of either direction."""
        self.channel.counters.add("captured")
        try:
            rate = matter.rate
            weight = 1 if rate >= 100 else self.sampler.weight(rate)
            record = matter.record(time.time(), weight, self._settings_on_wire)
            if pipeline.is_empty and matter.sampling is None:
                self._hand_over(_RECORD, record)
            else:
                steps = self._completed(pipeline.content(record, matter), matter)
                return waiting.run(steps, pipeline.timeout_s, in_place=in_place)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._failed("finish", error)
            matter.over()
        return None

    def abandon(self, exchange: Exchange, error: Exception) -> None:
        """The exchange met something that is no ASGI message: the application goes on without it."""
        if not exchange.finished:
            exchange.finished = True
            self.lost("an exchange", error)
            exchange.over()

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

    def _completed(self, steps: Steps[Content | LeftOut], matter: Matter) -> Steps[None]:
        try:
            content = yield from steps
            if isinstance(content, str):
                self.channel.counters.add(content)
            else:
                self._hand_over(*content)
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._failed("finish", error)
        finally:
            matter.over()

    def _hand_over(self, kind: int, content: Record | dict[str, Any]) -> None:
        counters = self.channel.counters
        try:
            payload = _packer.pack(content)
        except (TypeError, ValueError, OverflowError) as error:
            counters.drop("unserialisable")
            say("unserialisable", "an event could not be packed: %s", type(error).__name__)
            return
        fate = self.channel.offer(kind, self.key, payload)
        if fate is not _ACCEPTED:
            if fate is Offer.TOO_LARGE:
                # The packer keeps a buffer as large as the largest that it ever made.
                _packer.begin_anew()
            counters.drop(fate.value)
            say(f"dropped {fate.value}", "an event was dropped: %s", _WHY[fate])
        elif self._debug:
            say("debug", "events are recorded; the counters: %s", counters.snapshot(), level=DEBUG)

    def leave_out(self, fate: LeftOut) -> None:
        """One that is not recorded, which is known before anything of it was captured."""
        self.channel.counters.add("captured")
        self.channel.counters.add(fate)

    def _failed(self, where: str, error: Exception) -> None:
        self.channel.counters.drop("internal_error")
        say(f"internal error in {where}", "an event was lost to an internal error (%s)", type(error).__name__)


_WHY = {
    Offer.FULL: "the queue in memory is full (EVENT_QUEUE_SIZE, EVENT_QUEUE_BYTES)",
    Offer.TOO_LARGE: "it is larger than a frame may be",
    Offer.DOWN: "the channel is closed",
}

"""From an outgoing call to the channel: the settings of one middleware for such calls.

It is to outgoing calls what ``recorder.Recorder`` is to exchanges, and leaves to that one what both have.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

from moesifasgi.channel import Channel
from moesifasgi.enforcement.in_force import PolicyInForce
from moesifasgi.enforcement.sampler import Sampler
from moesifasgi.event.record import Headers, Record
from moesifasgi.exchange import Exchange, Scope
from moesifasgi.outgoing.call import OutgoingCall, Pair, Sent
from moesifasgi.outgoing.serving import Serving
from moesifasgi.pipeline import Pipeline, asks
from moesifasgi.quiet import say
from moesifasgi.recorder import Recorder
from moesifasgi.settings import Settings
from moesifasgi.waiting import running_loop

ASGIApp = Callable[..., Awaitable[None]]

within_functions: ContextVar[bool] = ContextVar("moesifasgi_within_functions", default=False)
"""In the user's functions for an outgoing call: calls that these make are not recorded, or it never ended."""


class OutgoingRecorder:
    """Turns the outgoing calls of one middleware's application into frames."""

    def __init__(self, settings: Settings, recorder: Recorder, in_force: PolicyInForce) -> None:
        self._recorder = recorder
        self._in_force = in_force
        self._limit_bytes = settings.capture.max_body_bytes if settings.outgoing.log_body else None
        self._content_types = recorder.content_types
        self._pipeline = _pipeline(settings, recorder.channel, recorder)
        self.asks = self._pipeline.asks
        """Whether there is a function to show a call to."""
        self.own_rate = recorder.sampler.own_rate
        self._requests_are_identified = recorder.pipeline.asks

    def serving(self, app: ASGIApp, scope: Scope, exchange: Exchange | None) -> ASGIApp:
        """The application, whose calls are made in the name of this request."""
        serving = Serving(self, scope, self._recorder.event_settings)
        if not self._pipeline.is_empty:
            serving.loop = running_loop()
        if exchange is not None and self._requests_are_identified:
            serving.wait_for(exchange)
        return partial(serving.serve, app)

    def begin(self, sent: Sent, serving: Serving | None) -> OutgoingCall | None:
        """A call goes out; None if it is not to be recorded, which is counted."""
        if not self._recorder.sampler.keeps(self.own_rate):
            self._recorder.leave_out("sampled_out")
            return None
        sampling = self._in_force.policy.sampling
        return OutgoingCall(self, sent, serving, None if sampling.everything else sampling)

    def body_limit_bytes(self, headers: Headers) -> int | None:
        """How much of a body with these headers is recorded; None: nothing."""
        types = self._content_types
        return self._limit_bytes if types is None or types.admit(headers) else None

    def finish(self, call: OutgoingCall) -> None:
        """The call is over: hand its record over, after the user's functions."""
        if self._pipeline.is_empty:
            self._complete(call)
            return
        # A context of its own, which tasks for asynchronous functions inherit.
        context = copy_context()

        def complete() -> None:
            context.run(self._complete_with_functions, call)

        loop = call.loop if running_loop() is None else None
        if loop is None or not loop.is_running():
            # Nor does one that has stopped come to it, or only when the event is of no use any more.
            complete()
            return
        try:
            loop.call_soon_threadsafe(complete)
        except RuntimeError:
            # The loop is closed; ``complete`` raises nothing.
            complete()

    def contained_pair(self, pair: Callable[[Record], Pair], record: Record) -> Pair:
        """The pair, or none: a library that is not built as we know it must not cost the event."""
        try:
            return pair(record)
        except Exception as error:  # noqa: BLE001  (the library's own code, at a place of its own)
            say("pair", "functions get no request of an outgoing call (%s)", type(error).__name__)
            return None, None

    def lost(self, error: Exception) -> None:
        """A call of which there is no record."""
        self._recorder.lost("an outgoing call", error)

    def _complete_with_functions(self, call: OutgoingCall) -> None:
        within_functions.set(True)
        self._complete(call)

    def _complete(self, call: OutgoingCall) -> None:
        self._recorder.complete(call, self._pipeline, in_place=False)


def _pipeline(settings: Settings, channel: Channel, recorder: Recorder) -> Pipeline[OutgoingCall]:
    hooks = None
    timeout_s = settings.hooks.timeout_s
    if asks(settings.outgoing):
        # Loaded here: few set a function.
        from moesifasgi.hooks import Hooks

        hooks = Hooks(settings.outgoing, timeout_s, channel, suffix="_OUTGOING")
    sampler: Sampler = recorder.sampler
    return Pipeline(sampler, timeout_s, hooks, _pair, recorder.pipeline.masking)


def _pair(record: Record, call: OutgoingCall) -> tuple[Any, Any]:
    return call.pair(record)

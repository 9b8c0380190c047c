"""The ASGI shell: passes every message through unchanged, and shows it to an Exchange on its way."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from inspect import CO_COROUTINE
from logging import DEBUG, ERROR
from time import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from moesifasgi.channel.registry import channel_for
from moesifasgi.enforcement.call import Call
from moesifasgi.enforcement.governor import Governor
from moesifasgi.enforcement.in_force import policy_in_force
from moesifasgi.errors import SettingsError
from moesifasgi.exchange import Exchange, Message, Scope, message_as_seen
from moesifasgi.lifespan import Lifespan
from moesifasgi.policy.policy import NO_POLICY, Policy
from moesifasgi.quiet import logger, say
from moesifasgi.recorder import Recorder, remember_recorder
from moesifasgi.settings import SamplingOrder, Settings
from moesifasgi.transaction_id import new_transaction_id
from moesifasgi.updates import Updates

if TYPE_CHECKING:
    from moesifasgi.outgoing.outgoing_recorder import OutgoingRecorder

_ASGI_ARGUMENTS = ("scope", "receive", "send")
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class MoesifMiddleware(Updates):
    """Records each API call of an ASGI application and hands it to the shipper.

        app.add_middleware(MoesifMiddleware, settings={"APPLICATION_ID": "..."})    # Starlette, FastAPI
        app = MoesifMiddleware(app, settings={"APPLICATION_ID": "..."})             # any ASGI application

    Without an application it serves the update calls (``update_user`` and so on). The constructor reads the
    settings and does nothing else; it raises SettingsError, which lists every fault. (A framework that builds
    its middlewares only under the running server would turn that into a 500 for every request; there the
    server is told at start-up instead, and does not start.)

    After that nothing here raises into the application, waits for the shipper, or changes a response, except
    for the header ``X-Moesif-Transaction-Id`` (off with DISABLED_TRANSACTION_ID) and what a governance rule
    of the dashboard decides.
    """

    def __init__(self, app: ASGIApp | None = None, settings: Mapping[str, Any] | None = None) -> None:
        self.app = app
        self._fault: SettingsError | None = None
        self._recorder: Recorder | None = None
        self._outgoing: OutgoingRecorder | None = None
        try:
            self._recorder = self._configured(settings if settings is not None else {})
        except SettingsError as fault:
            if not _built_by_a_running_application():
                raise
            self._fault = fault
        super().__init__(self._recorder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is None:
            raise TypeError("this MoesifMiddleware was made without an application to serve")
        if self._recorder is None:
            await self._refuse_to_start(self.app, scope, receive, send)
            return
        if scope["type"] == "lifespan":
            lifespan = Lifespan(self._recorder.channel, self._shutdown_timeout_s, receive, send)
            await lifespan.run(self.app, scope)
            return
        app, tap = self.app, None
        if scope["type"] == "http":
            policy = self._in_force.policy
            if policy is NO_POLICY and self._goes_straight_in:
                tap = _tapped(self._recorder, scope, receive, send)
            else:
                app, tap = self._entered(self._recorder, app, policy, scope, receive, send)
        if tap is None:
            await app(scope, receive, send)
            return
        try:
            await app(scope, tap.receive, tap.send)
        except BaseException as error:
            if (rest := tap.end(error)) is not None:
                await rest
            raise
        if (rest := tap.end(None)) is not None:
            await rest

    def _configured(self, settings: Mapping[str, Any]) -> Recorder:
        loaded = Settings.load(settings, os.environ)
        for warning in loaded.warnings:
            logger.warning("%s", warning)
        if loaded.capture.debug:
            # Ours alone: handlers, and everybody else's levels, are the application's.
            logger.setLevel(DEBUG)
        self._shutdown_timeout_s = loaded.queue.shutdown_timeout_s
        recorder = Recorder(loaded, channel_for(loaded))
        remember_recorder(recorder)
        first_match = loaded.capture.sampling is SamplingOrder.FIRST_MATCH
        self._in_force = policy_in_force(recorder.channel, recorder.key, first_match=first_match)
        self._governor = Governor(loaded, recorder.channel)
        if loaded.outgoing.capture:
            # Loaded here: it is for those who ask for it.
            from moesifasgi.outgoing.capture import start

            self._outgoing = start(loaded, recorder, self._in_force)
        self._goes_straight_in = recorder.sampler.takes_all and self._outgoing is None
        return recorder

    async def _refuse_to_start(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """With wrong settings: the server is told not to start. If it does not ask, requests go past us."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(self._fault)})
            return
        say("wrong settings", "nothing is recorded: %s", self._fault, level=ERROR)
        await app(scope, receive, send)

    def _entered(
        self, recorder: Recorder, app: ASGIApp, policy: Policy, scope: Scope, receive: Receive, send: Send
    ) -> "tuple[ASGIApp, _Tap | None]":
        """The application under the rules in force, and what records this request, if it is to be."""
        self._in_force.report()
        try:
            call = Call.of_scope(scope, recorder.event_settings)
        except Exception as error:  # noqa: BLE001  (the application is served, whatever the scope holds)
            recorder.lost("begin", error)
            return app, None
        tap = _sampled(recorder, policy, call, scope, receive, send)
        if self._outgoing is not None:
            app = self._outgoing.serving(app, scope, tap)
        if policy.governance.empty:
            return app, tap
        return self._governor.governed(app, policy.governance, call, tap), tap


def _tapped(recorder: Recorder, scope: Scope, receive: Receive, send: Send) -> "_Tap | None":
    try:
        return _Tap(recorder, scope, receive, send)
    except Exception as error:  # noqa: BLE001  (the application is served, whatever is wrong with us)
        recorder.lost("begin", error)
        return None


def _sampled(
    recorder: Recorder, policy: Policy, call: Call, scope: Scope, receive: Receive, send: Send
) -> "_Tap | None":
    """As ``_tapped``, where the settings or the dashboard choose what is recorded."""
    sampling = policy.sampling
    later = sampling if recorder.sampler.asks_later(sampling) else None
    try:
        rate = recorder.rate(scope, sampling if later is None else None, call)
    except Exception as error:  # noqa: BLE001  (as above)
        recorder.lost("begin", error)
        return None
    if rate is None:
        return None
    tap = _tapped(recorder, scope, receive, send)
    if tap is not None:
        tap.rate, tap.sampling = rate, later
    return tap


class _Tap(Exchange):
    """An Exchange that sits in the application's ``receive`` and ``send``.

    One object and no coroutine of its own a request: what is on the request path is counted in microseconds.
    """

    __slots__ = ("_receive", "_recorder", "_send")

    def __init__(self, recorder: Recorder, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(
            scope,
            new_transaction_id(),
            time(),
            recorder.request_limit_bytes,
            recorder.response_limit_bytes,
        )
        if recorder.content_types is not None:
            self.record_only(recorder.content_types)
        self._recorder = recorder
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        try:
            self.received(message)
        except Exception as error:  # noqa: BLE001  (not a message: the application goes on without us)
            self._recorder.abandon(self, error)
        return message

    async def send(self, message: Message) -> None:
        try:
            if message["type"] == "http.response.start":
                message = self.starting(message, identified=self._recorder.identifies)
            seen = message_as_seen(message)
        except Exception:  # noqa: BLE001  (not a message: the server has to say so)
            seen = message
        try:
            await self._send(message)
        except OSError:
            # How a server says that nobody listens any more (ASGI 2.4).
            self.client_left()
            raise
        # After the server took it: the exchange ends with the last byte, not with what the application
        # does after it (background tasks).
        try:
            if self.sent(seen) and (rest := self._recorder.finish(self)) is not None:
                await rest
        except Exception as error:  # noqa: BLE001  (as above)
            self._recorder.abandon(self, error)

    def end(self, error: BaseException | None) -> Awaitable[None] | None:
        """The application returned or raised; an exchange that was not over is over now.

        What comes back is to be awaited (see ``Recorder.finish``).
        """
        if self.finished:
            return None
        self.ended(error, cancelled=_is_cancellation(error))
        # A coroutine that is being closed may not await anything.
        return self._recorder.finish(self, in_place=not isinstance(error, GeneratorExit))


def _is_cancellation(error: BaseException | None) -> bool:
    """Cancelled by the server, or the process is being stopped: nothing that the application did."""
    return isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception | None)


def _built_by_a_running_application() -> bool:
    """Whether an ASGI application makes this middleware while it is being called, not a person's own code.

    Starlette does with the server's first message. The nearest coroutine is then the application's own call,
    known by the arguments that ASGI names; for a person it is none, or one of theirs (a lifespan, a handler).
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not frame.f_code.co_flags & CO_COROUTINE:
        frame = frame.f_back
    if frame is None:
        return False
    code = frame.f_code
    return code.co_varnames[: code.co_argcount][-3:] == _ASGI_ARGUMENTS

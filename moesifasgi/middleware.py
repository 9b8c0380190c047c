"""The ASGI shell: passes every message through unchanged, and shows it to an Exchange on its way."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from moesifasgi.channel.registry import channel_for
from moesifasgi.exchange import Exchange, Message, Scope
from moesifasgi.lifespan import Lifespan
from moesifasgi.quiet import logger
from moesifasgi.recorder import Recorder, remember_recorder
from moesifasgi.settings import Settings
from moesifasgi.updates import Updates

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class MoesifMiddleware(Updates):
    """Records each API call of an ASGI application and hands it to the shipper.

        app.add_middleware(MoesifMiddleware, settings={"APPLICATION_ID": "..."})    # Starlette, FastAPI
        app = MoesifMiddleware(app, settings={"APPLICATION_ID": "..."})             # any ASGI application

    Without an application it serves the update calls (``update_user`` and so on). The constructor reads the
    settings and does nothing else; it raises SettingsError, which lists every fault. After that nothing here
    raises into the application, waits for the shipper, or changes a response, except for the header
    ``X-Moesif-Transaction-Id`` (off with DISABLED_TRANSACTION_ID).
    """

    def __init__(self, app: ASGIApp | None = None, settings: Mapping[str, Any] | None = None) -> None:
        self.app = app
        loaded = Settings.load(settings if settings is not None else {}, os.environ)
        for warning in loaded.warnings:
            logger.warning("%s", warning)
        self._recorder = Recorder(loaded, channel_for(loaded))
        self._shutdown_timeout_s = loaded.queue.shutdown_timeout_s
        super().__init__(self._recorder)
        remember_recorder(self._recorder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is None:
            raise TypeError("this MoesifMiddleware was made without an application to serve")
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                lifespan = Lifespan(self._recorder.channel, self._shutdown_timeout_s, receive, send)
                await lifespan.run(self.app, scope)
            else:
                await self.app(scope, receive, send)
            return
        exchange = self._recorder.begin(scope)
        if exchange is None:
            await self.app(scope, receive, send)
            return
        await _Tap(exchange, self._recorder, receive, send).run(self.app, scope)


class _Tap:
    """The application's ``receive`` and ``send`` for one request."""

    __slots__ = ("_exchange", "_receive", "_recorder", "_send")

    def __init__(self, exchange: Exchange, recorder: Recorder, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._recorder = recorder
        self._receive = receive
        self._send = send

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        exchange = self._exchange
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            if not exchange.finished:
                exchange.ended(error, cancelled=_is_cancellation(error))
                self._recorder.finish(exchange)
            raise
        if not exchange.finished:
            exchange.ended(None, cancelled=False)
            self._recorder.finish(exchange)

    async def receive(self) -> Message:
        message = await self._receive()
        self._recorder.received(self._exchange, message)
        return message

    async def send(self, message: Message) -> None:
        exchange = self._exchange
        message = self._recorder.outgoing(exchange, message)
        try:
            await self._send(message)
        except OSError:
            # How a server says that nobody listens any more (ASGI 2.4).
            exchange.client_left()
            raise
        # After the server took it: the exchange ends with the last byte, not with what the application
        # does after it (background tasks).
        self._recorder.sent(exchange, message)


def _is_cancellation(error: BaseException) -> bool:
    """Cancelled by the server, or the process is being stopped: nothing that the application did."""
    return isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception)

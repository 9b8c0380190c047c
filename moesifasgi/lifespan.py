"""The lifespan scope: begin connecting at start-up, drain before the server hears that shutdown is complete.

This is the one moment at which a worker may wait: no request is under way any more, the process is about to
end, and it is the only exit hook that every ASGI server runs (``atexit`` is not, under servers that end by
re-raising the signal).
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from moesifasgi.channel import Channel
from moesifasgi.exchange import Message, Scope
from moesifasgi.outgoing.dropped import record_dropped
from moesifasgi.quiet import say
from moesifasgi.waiting import waiting

HOOKS_SHARE = 0.5
"""The part of SHUTDOWN_TIMEOUT that the user's functions may take; the rest is for delivery."""

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Lifespan:
    """One run of the lifespan protocol between a server and an application."""

    def __init__(self, channel: Channel, shutdown_timeout_s: float, receive: Receive, send: Send) -> None:
        self._channel = channel
        self._shutdown_timeout_s = shutdown_timeout_s
        self._receive = receive
        self._send = send
        self._touched = False
        self._stopping = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application's lifespan, or one in its place if it knows none."""
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            if self._touched:
                raise
        finally:
            # The application ended without an answer to shutdown.
            await self._drain()
        if not self._touched:
            # An application may refuse the scope at once, or return from it; servers then go on without
            # lifespan. Answering in its place keeps the drain.
            await self._stand_in()

    async def receive(self) -> Message:
        self._touched = True
        message = await self._receive()
        if message.get("type") == "lifespan.startup":
            self._channel.start()
        self._stopping = message.get("type") == "lifespan.shutdown"
        return message

    async def send(self, message: Message) -> None:
        self._touched = True
        if message.get("type") in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await self._drain()
        await self._send(message)

    async def _stand_in(self) -> None:
        while True:
            kind = (await self.receive()).get("type")
            if kind not in ("lifespan.startup", "lifespan.shutdown"):
                return
            await self.send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _drain(self) -> None:
        """Once, when the server has asked to shut down."""
        if not self._stopping:
            return
        self._stopping = False
        # Loaded here: the application's server has loaded it already, a script with update calls has not.
        from anyio import to_thread

        try:
            record_dropped()
            left_s = self._shutdown_timeout_s
            if waiting:
                begun = time.monotonic()
                await waiting.drain(left_s * HOOKS_SHARE)
                left_s = max(0.0, left_s - (time.monotonic() - begun))
            drained = await to_thread.run_sync(self._wait_for_channel, left_s)
        except Exception as error:  # noqa: BLE001  (a server that stops must not fail because of us)
            say("drain failed", "could not wait for the shipper at shutdown (%s)", type(error).__name__)
            return
        if not drained.delivered:
            say("not drained", "at shutdown not all events were delivered: %s", drained.reason)

    def _wait_for_channel(self, timeout_s: float) -> Any:
        drained = self._channel.drain(timeout_s, give_up=True)
        self._channel.close()
        return drained

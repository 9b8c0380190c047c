"""Governance rules, enforced: an ASGI application between the middleware's tap and the user's application.

What is recorded and what is enforced are two things: a request that is excluded or sampled out is governed
too. Whatever goes wrong here lets the request through, is counted, and said once a minute. WebSockets are not
governed.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from moesifasgi.channel import Channel
from moesifasgi.enforcement.call import Call
from moesifasgi.enforcement.timed_read import TimedRead
from moesifasgi.exchange import NOT_ASKED, Answered, Exchange, Message, Scope
from moesifasgi.policy.governance import Block, Governance, Verdict
from moesifasgi.policy.identity import Identity
from moesifasgi.quiet import say
from moesifasgi.settings import HookSettings, Settings
from moesifasgi.waiting import waiting

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_SET_COOKIE = b"set-cookie"
"""The one field that an application repeats and that cannot be joined: a rule's stands beside the others."""


class Governor:
    """Enforces the rules of one middleware's application."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        self._channel = channel
        self._limit_bytes = settings.capture.max_body_bytes
        self._timeout_s = settings.hooks.timeout_s
        self._asks_user = settings.hooks.identify_user is not None
        self._asks_company = settings.hooks.identify_company is not None
        if _asks(settings.hooks):
            # Loaded here: it loads Starlette.
            from moesifasgi.enforcement.identification import Identification

            self._identification = Identification(settings.hooks, channel)

    def governed(
        self, app: ASGIApp, governance: Governance, call: Call, exchange: Exchange | None
    ) -> ASGIApp:
        """The application as the rules let one request see it; ``exchange`` is None if it is not recorded."""
        return partial(self._serve, app, governance, call, exchange)

    async def _serve(
        self,
        app: ASGIApp,
        governance: Governance,
        call: Call,
        exchange: Exchange | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        verdict: Verdict | None = None
        reading: TimedRead | None = None
        try:
            call.decide_anew()
            if governance.wants_body(call.facts):
                reading = TimedRead(receive)
                receive = reading.receive
            verdict = await self._verdict(governance, call, exchange, scope, reading)
        except Exception as error:  # noqa: BLE001  (nothing is decided, so nothing is enforced)
            self._failed(error)
        try:
            if verdict is None:
                await app(scope, receive, send)
            elif verdict.block is not None:
                if exchange is not None:
                    exchange.blocked_by = verdict.block.rule_id
                await self._refuse(verdict.block, scope, send)
            else:
                await app(scope, receive, partial(self._send_with, verdict.headers, send))
        finally:
            if reading is not None:
                reading.close()

    async def _verdict(
        self,
        governance: Governance,
        call: Call,
        exchange: Exchange | None,
        scope: Scope,
        reading: TimedRead | None,
    ) -> Verdict | None:
        """What the rules say; ``reading`` is None where none looks at the body."""
        user_id: Identity = None
        company_id: Identity = None
        body = None if reading is None else await self._body(call, reading)
        if governance.by_user or governance.by_company:
            user_id, company_id = answered = await self._answered(governance, scope, body)
            if exchange is not None:
                exchange.identified = answered
        if governance.by_user:
            user_id = call.caller.user(user_id)
        return governance.decide(call.facts, user_id, company_id)

    async def _body(self, call: Call, reading: TimedRead) -> bytes | None:
        """The whole body, for the rules to see, if it is not too long for that and comes in time."""
        announced = call.caller.headers().get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._limit_bytes:
            return None
        body = await reading.body(self._limit_bytes, self._timeout_s)
        if body is not None:
            call.see_body(body)
        return body

    async def _answered(self, governance: Governance, scope: Scope, body: bytes | None) -> Answered:
        """What the user's functions say, as far as a rule needs to know."""
        if (governance.by_user and self._asks_user) or (governance.by_company and self._asks_company):
            steps = self._identification.answers(governance, scope, body)
            return await waiting.complete(steps, self._timeout_s)
        return NOT_ASKED

    async def _refuse(self, block: Block, scope: Scope, send: Send) -> None:
        self._channel.counters.add("blocked")
        body = b"" if scope.get("method") == "HEAD" else block.body
        try:
            await send({"type": "http.response.start", "status": block.status, "headers": block.headers})
            await send({"type": "http.response.body", "body": body})
        except OSError:
            # The client has left (ASGI 2.4), and there is no application to tell.
            return

    async def _send_with(self, headers: Sequence[tuple[bytes, bytes]], send: Send, message: Message) -> None:
        try:
            if message["type"] == "http.response.start":
                message = {**message, "headers": merged(message.get("headers") or (), headers)}
        except Exception as error:  # noqa: BLE001  (not a message: the server has to say so)
            self._failed(error)
        await send(message)

    def _failed(self, error: Exception) -> None:
        self._channel.counters.add("governance_failed")
        say("governance failed", "a request passed without governance rules (%s)", type(error).__name__)


def merged(
    own: Iterable[tuple[bytes, bytes]], headers: Sequence[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """The application's fields with the rules' in place of those of the same name; cookies beside them."""
    replaced = {name for name, _ in headers} - {_SET_COOKIE}
    return [*((name, value) for name, value in own if name.lower() not in replaced), *headers]


def _asks(hooks: HookSettings) -> bool:
    return hooks.identify_user is not None or hooks.identify_company is not None

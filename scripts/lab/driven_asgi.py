"""One fuzzed exchange, let happen through an application, and what either end saw of it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.fuzzed_asgi import BODY, START, Fuzzed, Message

App = Callable[..., Awaitable[None]]


@dataclass(slots=True)
class Seen:
    """What either end saw of an exchange, in values that can be compared."""

    by_application: list[Any] = field(default_factory=list)
    by_server: list[Any] = field(default_factory=list)
    error: str | None = None
    """Class of what came out of the outermost application."""


async def seen_of(exchange: Fuzzed, wrap: Callable[[App], App]) -> Seen:
    """Let it happen, with ``wrap`` around its application."""
    seen = Seen()
    server = _Server(exchange, seen)

    async def application(scope: Message, receive: Any, send: Any) -> None:
        seen.by_application.append(comparable(scope))
        for step in exchange.steps:
            try:
                if step is None:
                    seen.by_application.append(comparable(await receive()))
                elif isinstance(step, BaseException):
                    raise step
                else:
                    await send(step)
            except Exception as error:
                seen.by_application.append(type(error).__name__)
                if step is error or not exchange.persists:
                    raise

    try:
        await wrap(application)(exchange.scope, server.receive, server.send)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
        seen.error = type(error).__name__
    seen.by_application.append(comparable(exchange.scope))
    return seen


def comparable(value: Any) -> Any:
    """Of equal values, equal values: what is mutable or can be read only once is copied."""
    if isinstance(value, Mapping):
        return {repr(key): comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Iterator):
        items: list[Any] = []
        try:
            items.extend(map(comparable, value))
        except RuntimeError:
            items.append("and raises")
        return items
    content = bytes(value) if isinstance(value, bytearray | memoryview) else value
    return f"{type(value).__name__} {content!r}"


class _Server:
    """The other end of ``receive`` and ``send``."""

    def __init__(self, exchange: Fuzzed, seen: Seen) -> None:
        self._exchange = exchange
        self._given = iter(exchange.given)
        self._seen = seen
        self._started = False

    async def receive(self) -> Any:
        message = next(self._given, {"type": "http.disconnect"})
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: Any) -> None:
        if len(self._seen.by_server) >= self._exchange.leaves_after:
            raise ConnectionResetError("the client has left")
        made = comparable(message)
        if self._exchange.strict:
            self._check(message, made)
        self._seen.by_server.append(made)

    def _check(self, message: Any, made: Any) -> None:
        kind = message["type"]
        if kind != (BODY if self._started else START):
            raise RuntimeError(f"unexpected {kind!r}")
        self._started = True
        if kind == START:
            int(message["status"])
            for name, value in made.get("'headers'", []):
                (name + value).lower()
        else:
            len(message.get("body", b""))

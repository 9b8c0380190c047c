"""The request body before the application asks for it, and the same messages again when it does."""

from collections import deque
from collections.abc import Awaitable, Callable

from moesifasgi.exchange import Message

Receive = Callable[[], Awaitable[Message]]

MAX_MESSAGES = 10_000
"""However small: each costs a few hundred bytes beside its content."""


class ReadAhead:
    """Stands in the application's ``receive``: first what was read already, as it came, then the server's."""

    __slots__ = ("_is_stopped", "_messages", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._is_stopped = False

    @property
    def has_messages(self) -> bool:
        """Whether there are some that the application has not had."""
        return bool(self._messages)

    def stop(self) -> None:
        """Read no more than the message that is waited for."""
        self._is_stopped = True

    async def body(self, limit_bytes: int) -> bytes | None:
        """The whole body. None if it is longer than the limit, or the client leaves before its end."""
        parts: list[bytes] = []
        size = 0
        while size <= limit_bytes and len(self._messages) < MAX_MESSAGES:
            message = await self._receive()
            self._messages.append(message)
            if self._is_stopped or message.get("type") != "http.request":
                return None
            part = message.get("body") or b""
            size += len(part)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts) if size <= limit_bytes else None
        return None

    async def receive(self) -> Message:
        return self._messages.popleft() if self._messages else await self._receive()

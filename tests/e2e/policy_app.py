"""An application that needs nothing to start, and says in a header which worker answered, blocked or not."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from moesifasgi import MoesifMiddleware

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
PID = (b"x-worker", str(os.getpid()).encode())


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


watched = MoesifMiddleware(hello)


async def app(scope: Message, receive: Receive, send: Send) -> None:
    async def send_with_pid(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], PID]}
        await send(message)

    await watched(scope, receive, send_with_pid)

"""The least application worth recording: what is under load in a campaign is the way of its events."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from moesifasgi import MoesifMiddleware

Message = MutableMapping[str, Any]


async def answer(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Echo the request's body, as JSON."""
    if scope["type"] != "http":
        raise ValueError("this application knows HTTP only")
    body = (await receive()).get("body", b"")
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


app = MoesifMiddleware(answer)

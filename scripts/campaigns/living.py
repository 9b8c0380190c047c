"""The application of the servers whose workers are to end: as it is, and with the middleware around it."""

import time
from typing import Any

import anyio

from moesifasgi import MoesifMiddleware

BLOCKS_S, SLOW_S = 60.0, 20.0


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Echo the request's body. ``/block`` holds up the event loop, ``/slow`` takes long."""
    if scope["type"] != "http":
        raise ValueError("this application knows HTTP only")
    if scope["path"] == "/block":
        time.sleep(BLOCKS_S)  # noqa: ASYNC251  (that is the fault)
    if scope["path"] == "/slow":
        await anyio.sleep(SLOW_S)
    body = (await receive()).get("body", b"")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = MoesifMiddleware(bare)

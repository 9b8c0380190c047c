"""An application that looks at its own context: variables, tasks, and what runs after its response."""

import contextvars
import json
from typing import Any

import anyio
import anyio.lowlevel
from sniffio import current_async_library

from moesifasgi import MoesifMiddleware

outside: contextvars.ContextVar[str] = contextvars.ContextVar("outside", default="unset")
inside: contextvars.ContextVar[str] = contextvars.ContextVar("inside", default="unset")
noted: dict[str, Any] = {}


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """Answers what it sees, and goes on after that."""
    if scope["type"] != "http":
        raise ValueError("this application knows HTTP only")
    if scope["path"] == "/noted":
        await _answer(send, noted)
        return
    inside.set("by the application")
    children: list[str] = []

    async def child() -> None:
        await anyio.lowlevel.checkpoint()
        children.append(outside.get())

    with anyio.move_on_after(0.01) as limit:
        await anyio.sleep_forever()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(child)
    seen = {
        "library": current_async_library(),
        "outside": outside.get(),
        "child": children,
        "limit held": limit.cancelled_caught,
    }
    await _answer(send, seen)
    await anyio.sleep(0.05)
    noted["after the response"] = f"ran, {outside.get()}"


async def _answer(send: Any, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


recorded = MoesifMiddleware(inner)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Who calls the middleware, as another middleware would."""
    outside.set("by who calls")
    await recorded(scope, receive, send)
    if scope["type"] == "http" and scope["path"] == "/":
        noted["inside, seen by who calls"] = inside.get()

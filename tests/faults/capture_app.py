"""What the tests of captured faults ask over real HTTP: one application, twice.

The second one, for paths below ``/proxied``, knows its proxies: requests from 127.0.0.1 come through one.
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from moesifasgi import MoesifMiddleware

PAUSE_S = 0.1
ENDLESS_CHUNK = bytes(64 * 1024)
_arrived: dict[str, asyncio.Event] = {}


async def answer(request: Request) -> Response:
    """The size of what came, in bytes."""
    return JSONResponse({"bytes": len(await request.body())})


async def meet(request: Request) -> Response:
    """Answers when the other one of the two has come as well: they overlap."""
    name, other = request.path_params["name"], request.path_params["other"]
    _arrived.setdefault(name, asyncio.Event()).set()
    await _arrived.setdefault(other, asyncio.Event()).wait()
    return JSONResponse({"name": name})


class Echo:
    """Each part of the request as soon as it has come. Starlette's stream awaits two messages at once."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


async def slow(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(PAUSE_S)
            yield b"part "

    return StreamingResponse(parts())


async def endless(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield ENDLESS_CHUNK
            # Otherwise nobody else runs once the server takes no more of it.
            await asyncio.sleep(0)

    return StreamingResponse(parts())


async def cookies(request: Request) -> Response:
    response = JSONResponse({})
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


async def boom(request: Request) -> Response:
    raise RuntimeError("no part of the event")


routes = [
    Route("/answer", answer, methods=["GET", "POST"]),
    Route("/meet/{name}/{other}", meet),
    Route("/echo", Echo(), methods=["POST"]),
    Route("/slow", slow),
    Route("/endless", endless),
    Route("/cookies", cookies),
    Route("/boom", boom),
]
believing = Starlette(routes=routes)
believing.add_middleware(MoesifMiddleware)
knowing_its_proxies = Starlette(routes=[Mount("/proxied", routes=routes)])
knowing_its_proxies.add_middleware(MoesifMiddleware, {"TRUSTED_PROXIES": ["127.0.0.1"]})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    chosen = knowing_its_proxies if scope.get("path", "").startswith("/proxied") else believing
    await chosen(scope, receive, send)

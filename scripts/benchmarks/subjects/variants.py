"""What may stand between a server and a FastAPI application, and the application itself."""

import json
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Order(BaseModel):
    name: str
    amount: int
    note: str


def bare() -> FastAPI:
    """An application with one endpoint that takes JSON and returns it."""
    app = FastAPI()

    @app.post("/orders", status_code=201)
    async def create(order: Order) -> Order:
        return order

    return app


class NoOp:
    """A pure ASGI wrapper that does nothing."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class Floor:
    """The least that capture can be: keep both bodies, pack 14 fields, one non-blocking send, forget it.

    It has no limits, no acknowledgement, no second try and no settings; nobody could ship it.
    """

    def __init__(self, app: Application, path: str) -> None:
        from msgpack import packb

        self._app, self._pack = app, packb
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.setblocking(False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = time.time()
        asked: list[bytes] = []
        answered: list[bytes] = []
        start: Message = {}

        async def keep_request() -> Message:
            message = await receive()
            asked.append(message.get("body", b""))
            return message

        async def keep_response(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                answered.append(message.get("body", b""))
            await send(message)

        await self._app(scope, keep_request, keep_response)
        return self._offer(scope, began, b"".join(asked), start, b"".join(answered))

    def _offer(self, scope: Message, began: float, asked: bytes, start: Message, answered: bytes) -> None:
        first = (os.urandom(16), began, time.time(), scope["method"], scope["scheme"], scope["http_version"])
        second = (scope["raw_path"], scope["query_string"], scope["client"], scope["headers"], asked)
        packed = self._pack((*first, *second, start["status"], start["headers"], answered))
        try:
            self._socket.send(struct.pack(">I", len(packed)) + packed)
        except BlockingIOError:
            # The reader is late. A floor may lose an event: that costs it no less than sending it.
            return


def _no_op() -> FastAPI:
    app = bare()
    app.add_middleware(NoOp)
    return app


def _floor(path: str) -> FastAPI:
    app = bare()
    app.add_middleware(Floor, path=path)
    return app


def _base_http() -> FastAPI:
    from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
    from starlette.requests import Request
    from starlette.responses import Response

    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app = bare()
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    return app


def _moesif(settings: str) -> FastAPI:
    # Ours or the published one: that is up to the environment that this runs in.
    from moesifasgi import MoesifMiddleware

    app = bare()
    app.add_middleware(MoesifMiddleware, settings=json.loads(settings))
    return app


VARIANTS: dict[str, Callable[..., FastAPI]] = {
    "bare": bare,
    "no-op": _no_op,
    "floor": _floor,
    "base-http": _base_http,
    "moesif": _moesif,
}

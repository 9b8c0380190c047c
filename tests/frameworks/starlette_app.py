"""Starlette: routes, a router, a mounted application, a WebSocket, and state that its lifespan makes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from placing import FILE, PAGE, STREAM, added
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

ran: list[str] = []


async def echo(request: Request) -> Response:
    return JSONResponse(await request.json())


async def item(request: Request) -> Response:
    return JSONResponse(request.path_params)


async def text(request: Request) -> Response:
    return PlainTextResponse("plain text")


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE)


async def nothing(request: Request) -> Response:
    return Response(status_code=204)


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.url_for("text"))


async def cookies(request: Request) -> Response:
    response = PlainTextResponse("cookies")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for part in STREAM:
            yield part

    return StreamingResponse(parts(), media_type="text/plain")


async def upload(request: Request) -> Response:
    digest, size = sha256(), 0
    async for part in request.stream():
        digest.update(part)
        size += len(part)
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return JSONResponse({name: str(value) for name, value in fields.items()})


async def file(request: Request) -> Response:
    return FileResponse(FILE, filename="download.txt")


async def boom(request: Request) -> Response:
    raise RuntimeError("boom")


async def note(what: str) -> None:
    ran.append(what)


async def background(request: Request) -> Response:
    return PlainTextResponse("queued", background=BackgroundTask(note, "background"))


async def what_ran(request: Request) -> Response:
    return JSONResponse(ran)


async def greeting(request: Request) -> Response:
    return JSONResponse({"greeting": request.state.greeting})


async def chat(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat", headers=[(b"x-chat", b"yes")])
    while (said := await websocket.receive_text()) != "leave":
        await websocket.send_json({"said": said})
    await websocket.close(4001, "as you say")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"greeting": "made at start-up"}


SIMPLE = {
    "/page": page,
    "/redirect": redirect,
    "/cookies": cookies,
    "/stream": stream,
    "/file": file,
    "/boom": boom,
    "/background": background,
    "/ran": what_ran,
    "/greeting": greeting,
}
inner = Starlette(
    routes=[
        Route("/items/{item_id:int}", item),
        Route("/boom", boom),
        Mount("/deeper", routes=[Route("/text", text)]),
    ]
)
starlette = Starlette(
    lifespan=lifespan,
    routes=[
        *(Route(path, endpoint) for path, endpoint in SIMPLE.items()),
        Route("/echo", echo, methods=["POST"]),
        Route("/items/{item_id:int}", item),
        Route("/text", text, name="text"),
        Route("/nothing", nothing, methods=["DELETE"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        WebSocketRoute("/chat", chat),
        Mount("/routed", Router([Route("/items/{item_id:int}", item)])),
        Mount("/mounted", inner),
    ],
)
app = added(starlette)

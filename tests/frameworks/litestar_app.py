"""Litestar."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Annotated, Any

from litestar import HttpMethod, Litestar, MediaType, Request, Response, delete, get, post, route
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import File, Redirect, Stream
from placing import FILE, PAGE, STREAM, placed

ran: list[str] = []


@post("/echo", status_code=200)
async def echo(data: dict[str, Any]) -> dict[str, Any]:
    return data


@get("/items/{item_id:int}")
async def item(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return request.path_params


@route("/text", http_method=[HttpMethod.GET, HttpMethod.HEAD], media_type=MediaType.TEXT, status_code=200)
async def text(request: Request[Any, Any, Any]) -> Response[str | None]:
    return Response(None if request.method == "HEAD" else "plain text", media_type=MediaType.TEXT)


@get("/page", media_type=MediaType.HTML)
async def page() -> str:
    return PAGE


@delete("/nothing")
async def nothing() -> None:
    return None


@get("/redirect", status_code=307)
async def redirect() -> Redirect:
    return Redirect("/text", status_code=307)


@get("/cookies", media_type=MediaType.TEXT)
async def cookies() -> Response[str]:
    return Response("cookies", cookies=[Cookie("a", value="1"), Cookie("b", value="2")])


@get("/stream")
async def stream() -> Stream:
    async def parts() -> AsyncIterator[bytes]:
        for part in STREAM:
            yield part

    return Stream(parts(), media_type=MediaType.TEXT)


@post("/upload", status_code=200)
async def upload(request: Request[Any, Any, Any]) -> dict[str, Any]:
    digest, size = sha256(), 0
    async for part in request.stream():
        digest.update(part)
        size += len(part)
    return {"size": size, "sha256": digest.hexdigest()}


@post("/form", status_code=200)
async def form(
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> dict[str, str]:
    return data


@get("/file")
async def file() -> File:
    return File(FILE, filename="download.txt")


@get("/boom")
async def boom() -> None:
    raise RuntimeError("boom")


async def note(what: str) -> None:
    ran.append(what)


@get("/background", media_type=MediaType.TEXT)
async def background() -> Response[str]:
    return Response("queued", background=BackgroundTask(note, "background"))


@get("/ran")
async def what_ran() -> list[str]:
    return ran


handlers = [echo, item, text, page, nothing, redirect, cookies, stream, upload, form, file, boom]
app = placed(Litestar([*handlers, background, what_ran], openapi_config=None))

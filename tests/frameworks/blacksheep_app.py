"""BlackSheep."""

from collections.abc import AsyncIterator
from hashlib import sha256

from blacksheep import Application, Content, Cookie, Request, Response, StreamedContent
from blacksheep.server.responses import file as file_response
from blacksheep.server.responses import html, json, no_content, temporary_redirect
from blacksheep.server.responses import text as text_response
from placing import FILE, PAGE, STREAM, placed

blacksheep = Application()


@blacksheep.router.post("/echo")
async def echo(request: Request) -> Response:
    return json(await request.json())


@blacksheep.router.get("/items/{int:item_id}")
async def item(item_id: int) -> Response:
    return json({"item_id": item_id})


@blacksheep.router.get("/text")
async def text() -> Response:
    return text_response("plain text")


@blacksheep.router.head("/text")
async def text_head() -> Response:
    return Response(200, None, Content(b"text/plain; charset=utf-8", b""))


@blacksheep.router.get("/page")
async def page() -> Response:
    return html(PAGE)


@blacksheep.router.delete("/nothing")
async def nothing() -> Response:
    return no_content()


@blacksheep.router.get("/redirect")
async def redirect() -> Response:
    return temporary_redirect("/text")


@blacksheep.router.get("/cookies")
async def cookies() -> Response:
    response = text_response("cookies")
    response.set_cookie(Cookie("a", "1"))
    response.set_cookie(Cookie("b", "2"))
    return response


@blacksheep.router.get("/stream")
async def stream() -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for part in STREAM:
            yield part

    return Response(200, content=StreamedContent(b"text/plain", parts))


@blacksheep.router.post("/upload")
async def upload(request: Request) -> Response:
    digest, size = sha256(), 0
    async for part in request.stream():
        digest.update(part)
        size += len(part)
    return json({"size": size, "sha256": digest.hexdigest()})


@blacksheep.router.post("/form")
async def form(request: Request) -> Response:
    return json(await request.form())


@blacksheep.router.get("/file")
async def file() -> Response:
    return file_response(str(FILE), "text/plain", file_name="download.txt")


@blacksheep.router.get("/boom")
async def boom() -> Response:
    raise RuntimeError("boom")


app = placed(blacksheep)

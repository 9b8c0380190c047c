"""FastAPI: routes, an included router, a mounted application, and dependencies."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Form, Request
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from placing import FILE, PAGE, STREAM, added

ran: list[str] = []
fastapi = FastAPI()
router = APIRouter()
inner = FastAPI()


@fastapi.post("/echo")
async def echo(content: Annotated[Any, Body()]) -> Any:
    return content


@fastapi.get("/items/{item_id}")
@router.get("/items/{item_id}")
@inner.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, int]:
    return {"item_id": item_id}


@fastapi.api_route("/text", methods=["GET", "HEAD"])
@inner.get("/deeper/text")
async def text() -> PlainTextResponse:
    return PlainTextResponse("plain text")


@fastapi.get("/page")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@fastapi.delete("/nothing", status_code=204)
async def nothing() -> None:
    return None


@fastapi.get("/redirect")
async def redirect(request: Request) -> RedirectResponse:
    return RedirectResponse(request.url_for("text"))


@fastapi.get("/cookies")
async def cookies(response: Response) -> str:
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return "cookies"


@fastapi.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in STREAM:
            yield part

    return StreamingResponse(parts(), media_type="text/plain")


@fastapi.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    digest, size = sha256(), 0
    async for part in request.stream():
        digest.update(part)
        size += len(part)
    return {"size": size, "sha256": digest.hexdigest()}


@fastapi.post("/form")
async def form(name: Annotated[str, Form()], colour: Annotated[str, Form()]) -> dict[str, str]:
    return {"name": name, "colour": colour}


@fastapi.get("/file")
async def file() -> FileResponse:
    return FileResponse(FILE, filename="download.txt")


@fastapi.get("/boom")
@inner.get("/boom")
async def boom() -> None:
    raise RuntimeError("boom")


async def note(what: str) -> None:
    ran.append(what)


@fastapi.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(note, "background")
    return "queued"


async def what_ran() -> list[str]:
    return ran


@fastapi.get("/ran")
async def answer_what_ran(now: Annotated[list[str], Depends(what_ran)]) -> list[str]:
    return now


fastapi.include_router(router, prefix="/routed")
fastapi.mount("/mounted", inner)
app = added(fastapi)

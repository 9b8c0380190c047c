"""Quart."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from placing import FILE, PAGE, STREAM, placed
from quart import Quart, Response, jsonify, redirect, request, send_file

ran: list[str] = []
quart = Quart(__name__, static_folder=None)


@quart.post("/echo")
async def echo() -> Any:
    return jsonify(await request.get_json())


@quart.get("/items/<int:item_id>")
async def item(item_id: int) -> Any:
    return {"item_id": item_id}


@quart.get("/text")
async def text() -> Response:
    return Response("plain text", mimetype="text/plain")


@quart.get("/page")
async def page() -> str:
    return PAGE


@quart.delete("/nothing")
async def nothing() -> tuple[str, int]:
    return "", 204


@quart.get("/redirect")
async def away() -> Any:
    return redirect("/text", 307)


@quart.get("/cookies")
async def cookies() -> Response:
    response = Response("cookies", mimetype="text/plain")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@quart.get("/stream")
async def stream() -> Any:
    async def parts() -> AsyncIterator[bytes]:
        for part in STREAM:
            yield part

    return parts(), {"content-type": "text/plain"}


@quart.post("/upload")
async def upload() -> dict[str, Any]:
    digest, size = sha256(), 0
    async for part in request.body:
        digest.update(part)
        size += len(part)
    return {"size": size, "sha256": digest.hexdigest()}


@quart.post("/form")
async def form() -> dict[str, str]:
    return dict((await request.form).items())


@quart.get("/file")
async def file() -> Response:
    response = await send_file(FILE, as_attachment=True)
    # Quart counts it from now.
    response.expires = datetime(2030, 1, 1, tzinfo=UTC)
    return response


@quart.get("/boom")
async def boom() -> None:
    raise RuntimeError("boom")


async def note() -> None:
    ran.append("background")


@quart.get("/background")
async def background() -> str:
    quart.add_background_task(note)
    return "queued"


@quart.get("/ran")
async def what_ran() -> Any:
    return jsonify(ran)


app = placed(quart)

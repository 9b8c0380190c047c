"""One application for both packages. Runs in either environment, so it imports nothing else of this project.

python application.py FD FD        with listening sockets; settings come from the environment:

    DIFFERENTIAL_COLLECTOR    where events go
    DIFFERENTIAL_DIRECTORY    where ``/overlap/first`` leaves a file when it is in

The header ``x-profile`` of a request names the settings that the middleware around the application has, and
after ``#`` which of several such applications: one that nobody else uses has a batch of its own.
"""

import asyncio
import gzip
import os
import socket
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from facts import BROTLI_JSON, SLOW_S
from fastapi import FastAPI, Form, HTTPException, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from profiles import PROFILES

from moesifasgi import MoesifMiddleware

VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "REPORT"]
BODIES: dict[str, tuple[str | None, bytes]] = {
    "object": ("application/json", b'{"id": 7, "ok": true, "price": 1.5, "tags": ["a", "b"], "none": null}'),
    "list": ("application/json", b'[1, "two", {"three": 3}]'),
    "empty-object": ("application/json", b"{}"),
    "string": ("application/json", b'"text"'),
    "number": ("application/json", b"42"),
    "null": ("application/json", b"null"),
    "padded": ("application/json", b' \n{"a": 1}\n'),
    "utf8": ("application/json; charset=utf-8", '{"name": "Grüße"}'.encode()),
    "latin1": ("application/json; charset=iso-8859-1", '{"name": "Grüße"}'.encode("latin-1")),
    "vendor": ("application/vnd.shop.v1+json", b'{"a": 1}'),
    "as-text": ("text/plain", b'{"a": 1}'),
    "undeclared": (None, b'{"a": 1}'),
    "invalid": ("application/json", b'{"a": '),
    "big-number": ("application/json", b'{"id": 123456789012345678901234567890}'),
    "text": ("text/plain; charset=utf-8", b"plain text"),
    "xml": ("application/xml", b"<a>1</a>"),
    "binary": ("image/png", b"\x89PNG\r\n\x1a\n\x00\xff"),
    "form": ("application/x-www-form-urlencoded", b"a=1&a=2&b=x%20y"),
    "large": ("application/json", b'{"text": "' + b"x" * 150_000 + b'"}'),
    "multipart": (
        "multipart/form-data; boundary=frontier",
        b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--frontier--\r\n',
    ),
}
CODED = {
    "gzip-json": ("gzip", "application/json", gzip.compress(b'{"c": 1}', mtime=0)),
    "gzip-text": ("gzip", "text/plain", gzip.compress(b"plain text", mtime=0)),
    "br-json": ("br", "application/json", BROTLI_JSON),
}

mounted = FastAPI()


@mounted.api_route("/inner/{name}", methods=["GET", "POST"])
async def inner(name: str, request: Request) -> dict[str, Any]:
    return {"name": name, "root_path": request.scope["root_path"]}


def application() -> FastAPI:
    """A new application without middleware."""
    app = FastAPI(openapi_url=None)
    app.api_route("/echo", methods=VERBS)(echo)
    app.api_route("/echo/{rest:path}", methods=VERBS)(echo)
    app.post("/unread")(unread)
    app.post("/form")(form)
    app.get("/body/{name}")(body)
    app.get("/coded/{name}")(coded)
    app.get("/status/{code}")(status)
    app.get("/validated")(validated)
    app.get("/html")(html)
    app.get("/redirect")(redirect)
    app.get("/cookies")(cookies)
    app.get("/stream/{kind}")(stream)
    app.get("/raise")(fail)
    app.get("/overlap/first")(first)
    app.get("/overlap/second")(second)
    app.post("/login")(login)
    app.mount("/mounted", mounted)
    return app


async def echo(request: Request) -> dict[str, Any]:
    received = await request.body()
    return {"size": len(received), "query": dict(request.query_params)}


async def unread() -> dict[str, bool]:
    return {"read": False}


async def form(upload: UploadFile, kind: Annotated[list[str], Form()]) -> dict[str, Any]:
    return {"filename": upload.filename, "size": upload.size, "kinds": kind}


async def login(request: Request) -> dict[str, Any]:
    given = await request.json()
    return {"user": given["user"], "password": given["password"]}


async def body(name: str) -> Response:
    content_type, content = BODIES[name]
    response = Response(content)
    if content_type is not None:
        response.headers["content-type"] = content_type
    return response


async def coded(name: str) -> Response:
    coding, content_type, content = CODED[name]
    return Response(content, headers={"content-type": content_type, "content-encoding": coding})


async def status(code: int) -> Response:
    if code >= 400:
        raise HTTPException(code, "as you wished")
    return Response(status_code=code)


async def validated(limit: int) -> dict[str, int]:
    return {"limit": limit}


async def html() -> HTMLResponse:
    return HTMLResponse("<h1>Hello</h1>")


async def redirect() -> RedirectResponse:
    return RedirectResponse("/html", status_code=303)


async def cookies() -> JSONResponse:
    response = JSONResponse({"cookies": 2})
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def stream(kind: str) -> StreamingResponse:
    content_type, chunks = STREAMS[kind]
    return StreamingResponse(chunks(), media_type=content_type)


async def numbers() -> AsyncIterator[bytes]:
    yield b"["
    yield b"1,2"
    yield b"]"


async def slow() -> AsyncIterator[bytes]:
    yield b"["
    await asyncio.sleep(SLOW_S)
    yield b"]"


async def events() -> AsyncIterator[bytes]:
    for number in range(2):
        yield b"data: %d\n\n" % number


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"data: again\n\n"
        await asyncio.sleep(0.01)


async def broken() -> AsyncIterator[bytes]:
    yield b"[1,"
    raise LookupError("midway")


STREAMS = {
    "numbers": ("application/json", numbers),
    "slow": ("application/json", slow),
    "sse": ("text/event-stream", events),
    "endless": ("text/event-stream", endless),
    "broken": ("application/json", broken),
}


async def fail() -> None:
    raise LookupError("with a secret in its text")


FIRST_IS_IN = Path(os.environ["DIFFERENTIAL_DIRECTORY"], "first-is-in")
second_is_in = asyncio.Event()


async def first() -> dict[str, str]:
    FIRST_IS_IN.touch()  # noqa: ASYNC240  (one empty file)
    await second_is_in.wait()
    return {"overlap": "first"}


async def second() -> dict[str, str]:
    second_is_in.set()
    return {"overlap": "second"}


@cache
def wrapped(profile: str) -> FastAPI:
    """The application of one value of ``x-profile``, made when it is first asked for."""
    settings = profile.partition("#")[0]
    common = {
        "APPLICATION_ID": f"the-application-id-of-the-differential-test-for-{settings}",
        "BASE_URI": os.environ["DIFFERENTIAL_COLLECTOR"],
        "EVENT_BATCH_TIMEOUT": 0.25,
    }
    app = application()
    app.add_middleware(MoesifMiddleware, settings=common | PROFILES[settings])
    return app


async def by_profile(scope: Any, receive: Any, send: Any) -> None:
    profile = dict(scope.get("headers", ())).get(b"x-profile", b"plain")
    await wrapped(profile.decode())(scope, receive, send)


if __name__ == "__main__":
    config = uvicorn.Config(by_profile, lifespan="on", proxy_headers=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(fd)) for fd in sys.argv[1:]])

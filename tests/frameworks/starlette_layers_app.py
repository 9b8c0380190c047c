"""The middleware in the midst of other middlewares, and inside a mount."""

import gzip
from functools import partial
from types import SimpleNamespace
from typing import Any

import itsdangerous
import starlette.middleware.gzip
from placing import PLACE, SETTINGS, placed
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from moesifasgi import MoesifMiddleware

SECONDS = 1_700_000_000
WORDS = {"words": ["lamp"] * 500}
# Two answers of one application are to be the same: neither gzip nor a session cookie may hold the time.
starlette.middleware.gzip.gzip = SimpleNamespace(GzipFile=partial(gzip.GzipFile, mtime=SECONDS))
itsdangerous.TimestampSigner.get_timestamp = lambda self: SECONDS  # type: ignore[method-assign]


async def words(request: Request) -> Response:
    return JSONResponse(WORDS)


async def streamed(request: Request) -> Response:
    async def parts() -> Any:
        for _ in range(3):
            yield b"words " * 200

    return StreamingResponse(parts(), media_type="text/plain")


async def visit(request: Request) -> Response:
    request.session["visits"] = request.session.get("visits", 0) + 1
    response = JSONResponse({"visits": request.session["visits"], "body": await request.json()})
    response.set_cookie("a", "1")
    return response


async def boom(request: Request) -> Response:
    raise RuntimeError("boom")


async def text(request: Request) -> Response:
    return PlainTextResponse("plain text")


async def stamped(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["x-stamp"] = request.url.path
    return response


routes = [
    Route("/words", words),
    Route("/streamed", streamed),
    Route("/visit", visit, methods=["POST"]),
    Route("/boom", boom),
]
cors = Middleware(CORSMiddleware, allow_origins=["http://example.com"], allow_methods=["GET", "POST"])
packing = Middleware(GZipMiddleware, minimum_size=100)
sessions = Middleware(SessionMiddleware, secret_key="of these tests")
based = Middleware(BaseHTTPMiddleware, dispatch=stamped)
ours = [] if PLACE == "bare" else [Middleware(MoesifMiddleware, settings=SETTINGS)]

app = Starlette(
    routes=[
        Route("/text", text),
        Mount("/outermost", Starlette(routes=routes, middleware=[*ours, based, sessions, cors, packing])),
        Mount("/between", Starlette(routes=routes, middleware=[cors, packing, *ours, sessions, based])),
        Mount("/innermost", Starlette(routes=routes, middleware=[based, sessions, cors, packing, *ours])),
        Mount("/inside", placed(Starlette(routes=routes, middleware=[sessions]))),
    ]
)

"""An application with a secret in every place that an event has, and masks for them.

``MASKS`` of the environment says which: ``declared``, by the settings alone, or ``function``. The package's
log goes to ``LOG_FILE``.
"""

import gzip
import json
import logging
import os
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from moesifasgi import MoesifMiddleware

DECLARED = {
    "REQUEST_HEADER_MASKS": ["x-key", "authorization", "cookie"],
    "RESPONSE_HEADER_MASKS": ["x-key", "set-cookie"],
    "REQUEST_BODY_MASKS": ["password", "card.number", "session_token"],
    "RESPONSE_BODY_MASKS": ["password", "card.number"],
    "REQUEST_QUERY_MASKS": ["token"],
}
MASK = "***"
logging.getLogger("moesifasgi").addHandler(logging.FileHandler(os.environ["LOG_FILE"]))


def secret_of(request: Request) -> str:
    return request.headers.get("x-key", "")


async def metadata(request: Request, response: Response) -> dict[str, Any]:
    return {"seen": "visible-marker", "login": [{"Password": secret_of(request)}]}


def session_token(request: Request, response: Response) -> str:
    return secret_of(request)


def company(request: Request, response: Response) -> str:
    raise RuntimeError(secret_of(request))


def without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        hidden = ("password", "number")
        return {
            name: MASK if name.lower() in hidden else without_secrets(item) for name, item in value.items()
        }
    return [without_secrets(item) for item in value] if isinstance(value, list) else value


async def mask(eventmodel: Any) -> Any:
    for message in (eventmodel.request, eventmodel.response):
        message.body = {} if message.transfer_encoding == "base64" else without_secrets(message.body)
        for name in {"x-key", "authorization", "cookie", "set-cookie", "referer"} & set(message.headers):
            message.headers[name] = MASK
    eventmodel.request.uri = eventmodel.request.uri.partition("?")[0]
    eventmodel.metadata = without_secrets(eventmodel.metadata)
    eventmodel.session_token = None
    return eventmodel


app = FastAPI()
masks: dict[str, Any] = {"MASK_EVENT_MODEL": mask} if os.environ["MASKS"] == "function" else DECLARED
app.add_middleware(
    MoesifMiddleware,
    settings={
        "DEBUG": True,
        "MAX_BODY_SIZE": 2000,
        "GET_METADATA": metadata,
        "GET_SESSION_TOKEN": session_token,
        "IDENTIFY_COMPANY": company,
        **masks,
    },
)


@app.post("/echo")
async def echo(request: Request) -> JSONResponse:
    response = JSONResponse(await request.json(), headers={"x-key": secret_of(request)})
    response.set_cookie("session", secret_of(request))
    return response


@app.post("/form")
async def form(request: Request) -> dict[str, Any]:
    async with request.form() as fields:
        return {name: str(value) for name, value in fields.items() if isinstance(value, str)}


@app.post("/gzip")
async def packed(request: Request) -> Response:
    content = json.loads(gzip.decompress(await request.body()))
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    return Response(gzip.compress(json.dumps(content).encode()), headers=headers)


@app.post("/html")
async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(f"<p>{(await request.body()).decode()}</p>")


@app.get("/boom")
async def boom(request: Request) -> None:
    raise RuntimeError(secret_of(request))

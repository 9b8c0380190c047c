"""A small shop on FastAPI whose API calls are recorded by Moesif: one endpoint for each kind of answer.

    uvicorn app:app --workers 4

Run it in this directory. MOESIF_APPLICATION_ID and MOESIF_BASE_URI say where the events go;
MOESIF_EXAMPLE_HOOKS=1 switches on every user function below. The secret is for show: take yours from a safe
place, and a library for your tokens.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request, Response, UploadFile
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from moesifasgi import MoesifMiddleware

SECRET = b"only for this example"
CHUNKS = 20
ITEMS = {1: "lamp", 2: "chair", 3: "table"}


def identify_user(request: Request, response: Response) -> str | None:
    """Who called. Without this function the ``sub`` of the bearer token is the user id."""
    return request.headers.get("x-user-id")


def identify_company(request: Request, response: Response) -> str | None:
    """The company that the user belongs to."""
    return request.headers.get("x-company-id")


def get_session_token(request: Request, response: Response) -> str | None:
    """What ties the calls of one session together; usually the authorization header does."""
    return request.headers.get("x-session")


async def get_metadata(request: Request, response: Response) -> dict[str, Any]:
    """Anything worth knowing about the call. Functions may be asynchronous; the response never waits."""
    return {"region": "westus", "agent": request.headers.get("user-agent", "")}


def should_skip(request: Request, response: Response) -> bool:
    """Calls that are not worth recording."""
    return request.url.path == "/health"


def mask_event(event: Any) -> Any:
    """Remove what must not leave the process. It sees both bodies; an absent one as an empty dict."""
    body = event.request.body
    if isinstance(body, dict) and "password" in body:
        body["password"] = None
    return event


def hooks() -> dict[str, Any]:
    """Every user function that the middleware knows for incoming calls."""
    return {
        "IDENTIFY_USER": identify_user,
        "IDENTIFY_COMPANY": identify_company,
        "GET_SESSION_TOKEN": get_session_token,
        "GET_METADATA": get_metadata,
        "SKIP": should_skip,
        "MASK_EVENT_MODEL": mask_event,
    }


moesif_settings: dict[str, Any] = {
    "APPLICATION_ID": os.environ.get("MOESIF_APPLICATION_ID", "YOUR_MOESIF_APPLICATION_ID"),
    "BASE_URI": os.environ.get("MOESIF_BASE_URI", "https://api.moesif.net"),
    "LOG_BODY": True,
    **(hooks() if os.environ.get("MOESIF_EXAMPLE_HOOKS") == "1" else {}),
}

app = FastAPI(title="Moesif example")
app.add_middleware(MoesifMiddleware, settings=moesif_settings)


class Item(BaseModel):
    """What the shop sells."""

    name: str
    price: float
    tags: list[str] = []


@app.get("/")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": True}


@app.get("/items/{item_id}")
async def read_item(item_id: int) -> dict[str, Any]:
    if item_id not in ITEMS:
        raise HTTPException(404, f"there is no item {item_id}")
    return {"id": item_id, "name": ITEMS[item_id]}


@app.post("/items", status_code=201)
async def create_item(item: Item) -> Item:
    return item


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(_lines(), media_type="text/plain")


@app.get("/events")
async def events() -> StreamingResponse:
    return StreamingResponse(_server_sent_events(), media_type="text/event-stream")


@app.get("/boom")
async def boom() -> None:
    raise RuntimeError("boom")


@app.post("/login")
async def login(request: Request) -> dict[str, str]:
    """Takes a form or JSON with ``user`` and ``password``; any password will do."""
    is_json = request.headers.get("content-type", "").startswith("application/json")
    fields = await request.json() if is_json else await request.form()
    if not fields.get("user") or not fields.get("password"):
        raise HTTPException(400, "user and password are required")
    return {"access_token": _sign({"sub": fields["user"]}), "token_type": "bearer"}


@app.get("/me")
async def me(request: Request) -> dict[str, Any]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    claims = _verified(token) if scheme.lower() == "bearer" else None
    if claims is None:
        raise HTTPException(401, "a valid bearer token is required", {"WWW-Authenticate": "Bearer"})
    return {"user": claims["sub"]}


@app.post("/upload")
async def upload(file: UploadFile) -> dict[str, Any]:
    return {"name": file.filename, "bytes": len(await file.read())}


@app.get("/text")
async def text() -> PlainTextResponse:
    return PlainTextResponse("plain text, no JSON\n")


@app.get("/empty", status_code=204)
async def empty() -> None:
    return None


@app.get("/download")
async def download() -> FileResponse:
    with tempfile.NamedTemporaryFile(suffix=".csv", delete=False) as file:
        file.write(b"id,name\n" + b"".join(f"{key},{name}\n".encode() for key, name in ITEMS.items()))
    return FileResponse(file.name, filename="items.csv", background=BackgroundTask(Path(file.name).unlink))


@app.post("/task", status_code=202)
async def task(background: BackgroundTasks) -> dict[str, bool]:
    background.add_task(asyncio.sleep, 0.01)
    return {"accepted": True}


async def _lines() -> AsyncIterator[str]:
    for number in range(CHUNKS):
        yield f"line {number}\n"
        await asyncio.sleep(0)


async def _server_sent_events() -> AsyncIterator[str]:
    for number in range(3):
        yield f"id: {number}\nevent: tick\ndata: {json.dumps({'number': number})}\n\n"
        await asyncio.sleep(0.01)


def _sign(claims: dict[str, Any]) -> str:
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    return f"{signed}.{_signature(signed)}"


def _verified(token: str) -> dict[str, Any] | None:
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(signed).encode()):
        return None
    payload = signed.partition(".")[2]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def _encoded(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _signature(signed: str) -> str:
    return _base64url(hmac.digest(SECRET, signed.encode(), hashlib.sha256))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

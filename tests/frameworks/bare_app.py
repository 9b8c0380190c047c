"""A bare ASGI callable, without any framework."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from placing import FILE, PAGE, STREAM, placed

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
JSON, TEXT = [(b"content-type", b"application/json")], [(b"content-type", b"text/plain; charset=utf-8")]
FIXED: dict[str, tuple[int, Headers, bytes]] = {
    "/text": (200, TEXT, b"plain text"),
    "/page": (200, [(b"content-type", b"text/html; charset=utf-8")], PAGE.encode()),
    "/nothing": (204, [], b""),
    "/redirect": (307, [(b"location", b"/text")], b""),
    "/cookies": (200, [*TEXT, (b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2; Path=/")], b"cookies"),
    "/file": (200, [*TEXT, (b"content-disposition", b"attachment")], FILE.read_bytes()),
    "/items/7": (200, JSON, b'{"item_id":7}'),
}


async def chunks(receive: Receive) -> list[bytes]:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts


async def answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    for part in STREAM:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


async def bare(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    path = scope["path"]
    if path == "/stream":
        await stream(send)
    elif path == "/boom":
        raise RuntimeError("boom")
    elif path in FIXED:
        status, headers, body = FIXED[path]
        await answer(send, status, headers, b"" if scope["method"] == "HEAD" else body)
    elif scope["method"] == "POST":
        await answer(send, 200, JSON, json.dumps(echoed(path, b"".join(await chunks(receive)))).encode())
    else:
        await answer(send, 404, TEXT, b"not found")


def echoed(path: str, body: bytes) -> Any:
    if path == "/upload":
        return {"size": len(body), "sha256": sha256(body).hexdigest()}
    return dict(parse_qsl(body.decode())) if path == "/form" else json.loads(body)


app = placed(bare)

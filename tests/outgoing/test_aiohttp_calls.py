"""aiohttp's calls: what other libraries have no part in."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import yarl
from aiohttp import web
from outgoing_calls.scene import Scene

PART = b"--B\r\nContent-Type: text/plain\r\n\r\n%s\r\n"
Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    server = web.Server(serve)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("by_chunks", [False, True])
def test_what_is_pushed_back_to_be_read_again_is_recorded_once(scene: Scene, by_chunks: bool):
    body = b"".join(PART % (letter * 3000) for letter in (b"a", b"b", b"c")) + b"--B--\r\n"

    async def multipart(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": "multipart/mixed; boundary=B"})

    async def read(part: Any) -> bytes:
        if not by_chunks:
            return bytes(await part.read())
        return b"".join([chunk async for chunk in chunks(part)])

    async def chunks(part: Any) -> AsyncIterator[bytes]:
        while chunk := await part.read_chunk(512):
            yield chunk

    async def main() -> tuple[list[int], dict[str, Any]]:
        scene.capture()
        async with (
            serving(multipart) as url,
            aiohttp.ClientSession() as session,
            session.get(url) as response,
        ):
            parts = aiohttp.MultipartReader.from_response(response)
            sizes = [len(await read(part)) async for part in parts]
        return sizes, await scene.event()

    sizes, event = asyncio.run(main())
    assert sizes == [3000] * 3
    assert b64decode(event["response"]["body"]) == body


def test_a_query_that_is_not_encoded_is_recorded(scene: Scene):
    async def main() -> dict[str, Any]:
        scene.capture()
        url = yarl.URL(scene.url("/status/200?ü"), encoded=True)
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert await response.text() == "as you like"
        return await scene.event()

    assert asyncio.run(main())["request"]["uri"] == scene.url("/status/200?%C3%BC")

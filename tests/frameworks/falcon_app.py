"""Falcon."""

from collections.abc import AsyncIterator
from hashlib import sha256

import falcon
from falcon.asgi import App, Request, Response
from placing import FILE, PAGE, STREAM, placed

ran: list[str] = []


async def note() -> None:
    ran.append("background")


class Echo:
    async def on_post(self, request: Request, response: Response) -> None:
        response.media = await request.get_media()


class Item:
    async def on_get(self, request: Request, response: Response, item_id: int) -> None:
        response.media = {"item_id": item_id}


class Text:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = "plain text"

    async def on_head(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT


class Page:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_HTML
        response.text = PAGE


class Nothing:
    async def on_delete(self, request: Request, response: Response) -> None:
        response.status = falcon.HTTP_204


class Redirect:
    async def on_get(self, request: Request, response: Response) -> None:
        raise falcon.HTTPTemporaryRedirect("/text")


class Cookies:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = "cookies"
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")


class Stream:
    async def on_get(self, request: Request, response: Response) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for part in STREAM:
                yield part

        response.content_type = falcon.MEDIA_TEXT
        response.stream = parts()


class Upload:
    async def on_post(self, request: Request, response: Response) -> None:
        digest, size = sha256(), 0
        async for part in request.stream:
            digest.update(part)
            size += len(part)
        response.media = {"size": size, "sha256": digest.hexdigest()}


class File:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.downloadable_as = "download.txt"
        response.data = FILE.read_bytes()


class Boom:
    async def on_get(self, request: Request, response: Response) -> None:
        raise RuntimeError("boom")


class Background:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = "queued"
        response.schedule(note)


class Ran:
    async def on_get(self, request: Request, response: Response) -> None:
        response.media = ran


falcon_app = App()
RESOURCES = {
    "/echo": Echo(),
    "/form": Echo(),
    "/items/{item_id:int}": Item(),
    "/text": Text(),
    "/page": Page(),
    "/nothing": Nothing(),
    "/redirect": Redirect(),
    "/cookies": Cookies(),
    "/stream": Stream(),
    "/upload": Upload(),
    "/file": File(),
    "/boom": Boom(),
    "/background": Background(),
    "/ran": Ran(),
}
for path, resource in RESOURCES.items():
    falcon_app.add_route(path, resource)
app = placed(falcon_app)

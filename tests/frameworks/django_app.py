"""Django's ASGI handler, with views and settings in one module."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from placing import FILE, PAGE, STREAM, placed

CHUNK_BYTES = 1000
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of these tests")


async def echo(request: HttpRequest) -> HttpResponse:
    return JsonResponse(json.loads(request.body))


async def item(request: HttpRequest, item_id: int) -> HttpResponse:
    return JsonResponse({"item_id": item_id})


async def text(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain text", content_type="text/plain")


async def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


async def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


async def redirect(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=307, headers={"Location": request.build_absolute_uri("/text")})


async def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("cookies", content_type="text/plain")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in STREAM:
            yield part

    return StreamingHttpResponse(parts(), content_type="text/plain")


def upload(request: HttpRequest) -> HttpResponse:
    """Synchronous, as many views are: Django runs it in a thread."""
    digest, size = sha256(), 0
    while part := request.read(CHUNK_BYTES):
        digest.update(part)
        size += len(part)
    return JsonResponse({"size": size, "sha256": digest.hexdigest()})


def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.POST.items()))


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(FILE.open("rb"), as_attachment=True)


async def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom")


views = (echo, text, page, nothing, redirect, cookies, stream, upload, form, file, boom)
urlpatterns = [*(path(view.__name__, view) for view in views), path("items/<int:item_id>", item)]
app = placed(get_asgi_application())

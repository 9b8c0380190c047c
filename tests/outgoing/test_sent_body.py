"""The request's body, while it goes out."""

import asyncio
import gc
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
import requests
import urllib3
from lab.one_worker import ask
from outgoing_calls.scene import Scene


def by_requests(url: str, body: Any) -> None:
    requests.post(url, data=body, timeout=10)


def by_httpx(url: str, body: Any) -> None:
    with httpx.Client(verify=False) as client:
        client.post(url, content=body)


def by_urllib3(url: str, body: Any) -> None:
    with urllib3.PoolManager() as pool:
        pool.request("POST", url, body=body, chunked=True)


def fetched(scene: Scene) -> Iterator[bytes]:
    for number in range(2):
        yield requests.get(scene.url(f"/echo?part={number}"), timeout=10).content


class FetchedFile:
    def __init__(self, scene: Scene) -> None:
        self._parts = fetched(scene)

    def read(self, *arguments: Any) -> bytes:
        return next(self._parts, b"")

    def __iter__(self) -> Iterator[bytes]:
        return self._parts


@pytest.mark.parametrize("body", [fetched, FetchedFile])
@pytest.mark.parametrize("post", [by_requests, by_httpx, by_urllib3])
def test_calls_that_make_the_body_of_a_call_are_calls(scene: Scene, post: Any, body: Any):
    scene.capture()
    post(scene.url("/echo"), body(scene))
    uris = [event["request"]["uri"] for event in asyncio.run(scene.events())]
    assert uris == [scene.url(path) for path in ("/echo?part=0", "/echo?part=1", "/echo")]


class Parts:
    """As often as one likes."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"again and ", b"again"])


@pytest.mark.parametrize(
    ("body", "sent"),
    [(Parts(), [b"again and again"] * 3), (iter(Parts()), [b"again and again", b"", b""])],
    ids=["as often as one likes", "once"],
)
def test_parts_that_urllib3_sends_again_are_recorded_once(scene: Scene, body: Iterable[bytes], sent: Any):
    scene.capture()
    retries = urllib3.Retry(2, allowed_methods=None, status_forcelist=[503])
    with urllib3.PoolManager(retries=retries) as pool, pytest.raises(urllib3.exceptions.MaxRetryError):
        pool.request("PUT", scene.url("/status/503"), body=body, chunked=True)
    event = asyncio.run(scene.event())
    assert b64decode(event["request"]["body"]) == b"again and again"
    assert [seen.body for seen in scene.api.seen[-3:]] == sent


@pytest.mark.parametrize("post", [by_requests, by_httpx])
def test_a_call_that_waits_holds_no_more_of_its_body_than_was_captured(scene: Scene, post: Any):
    shown: list[tuple[Any, Any]] = []
    held: list[tuple[int, int]] = []
    body = bytes(100_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        before = sys.getrefcount(body)
        post(scene.url("/status/200"), body)
        gc.collect()
        held.append((sys.getrefcount(body) - before, len(shown)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    recorded = scene.capture(
        app,
        MAX_BODY_SIZE=1_000,
        IDENTIFY_USER=lambda request, response: "ann",
        SKIP_OUTGOING=lambda request, response: shown.append((request, response)),
    )
    asyncio.run(ask(recorded, "GET", "/"))
    assert held == [(0, 0)]
    ((request, response),) = shown
    assert request.headers["content-length"] == response.request.headers["content-length"] == "100000"
    assert response.text == "as you like"


@pytest.mark.parametrize(("post", "body_of"), [(by_requests, "body"), (by_httpx, "content")])
def test_the_request_of_a_response_has_the_body_that_was_captured(scene: Scene, post: Any, body_of: str):
    shown: list[Any] = []
    scene.capture(SKIP_OUTGOING=lambda request, response: shown.extend((request, response.request)))
    post(scene.url("/echo"), b"whole")
    assert [getattr(request, body_of) for request in shown] == [b"whole", b"whole"]
    assert [str(request.url) for request in shown] == [scene.url("/echo")] * 2

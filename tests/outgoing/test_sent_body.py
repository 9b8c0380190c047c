"""The request's body, while it goes out."""

import asyncio
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
import requests
import urllib3
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

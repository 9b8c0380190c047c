"""Faults of the published capture of outgoing calls (moesifpythonrequest 0.3.5), each with its id."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from lab.processes import eventually
from lab.shipper_process import standalone
from lab.upstream import Upstream, upstream
from outgoing_calls.scene import Scene
from outgoing_calls.scene import scene as opened

from moesifasgi import MoesifMiddleware
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.outgoing.capture import stop


@pytest.fixture(scope="module")
def api() -> Iterator[Upstream]:
    with upstream() as started:
        yield started


@pytest.fixture
def scene(api: Upstream, tmp_path: Path) -> Iterator[Scene]:
    with opened(api, tmp_path) as made:
        yield made


@pytest.fixture
def shipping(collector: Collector, short_dir: Path) -> Iterator[MoesifMiddleware]:
    """Calls are recorded, and go the whole way to the collector."""
    with standalone(short_dir, log_level="error") as shipper:
        settings = {
            "APPLICATION_ID": "app-of-the-tests",
            "BASE_URI": collector.url,
            "CAPTURE_OUTGOING_REQUESTS": True,
            "TRANSPORT": "unix",
            "SHIPPER_SOCKET": str(shipper.socket),
            "SPOOL_DIR": str(short_dir / "worker"),
            "EVENT_BATCH_TIMEOUT": 0.2,
        }
        made = MoesifMiddleware(settings=settings)
        assert made._recorder is not None
        try:
            yield made
        finally:
            stop()
            made._recorder.channel.close()


def test_a_collector_that_refuses_at_start_breaks_no_call(
    api: Upstream, collector: Collector, shipping: MoesifMiddleware
):
    """D1: its configuration was then None, and every ``requests.get`` raised AttributeError."""
    collector.behave(Behaviour(status=401))
    assert requests.get(api.url + "/echo", timeout=10).status_code == 200
    assert shipping._recorder is not None
    eventually(lambda: shipping._recorder.channel.stats()["acked"] == 1, 20, "the event is taken")


def test_a_collector_that_cannot_be_reached_at_start_neither_blocks_nor_ends_the_capture(scene: Scene):
    """D2: the constructor waited for it without a limit, and recorded nothing from then on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.setblocking(False)
        began = time.monotonic()
        scene.capture(BASE_URI=f"http://127.0.0.1:{silent.getsockname()[1]}")
        requests.get(scene.url("/echo"), timeout=10)
        assert time.monotonic() - began < 5
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert asyncio.run(scene.event())["response"]["status"] == 200


def test_a_streamed_response_stays_a_stream(scene: Scene):
    """D3: it was read to its end before the application got it. This one has no end."""
    scene.capture()
    with requests.get(scene.url("/endless"), stream=True, timeout=10) as response:
        assert next(response.iter_content(5)) == b"first"
        assert asyncio.run(scene.events()) == []
    assert asyncio.run(scene.event())["response"]["status"] == 200


def test_calls_share_batches_and_no_thread_is_started_for_one(
    api: Upstream, collector: Collector, shipping: MoesifMiddleware
):
    """D4: each had a thread, and an upload, of its own: 21 calls, 21 uploads."""
    requests.get(api.url + "/echo", timeout=10)
    assert shipping._recorder is not None
    eventually(lambda: shipping._recorder.channel.stats()["acked"] == 1, 20, "the channel has its threads")
    before = set(threading.enumerate())
    with requests.Session() as session:
        for _ in range(20):
            session.get(api.url + "/echo", timeout=10)
    started = [thread.name for thread in threading.enumerate() if thread not in before]
    # The API's own threads, one a connection, have names as threads have that nobody named. Where the shipper
    # does not read for a moment, one writes down what it has not got: one, however many calls there are.
    assert [name for name in started if not name.startswith("Thread-")] in ([], ["moesif-keeper"])
    assert collector.wait_for(lambda store: store.counts().distinct == 21, 20)
    assert requests_of(collector, "POST") < 21


def test_configuration_is_not_fetched_for_calls(
    api: Upstream, collector: Collector, shipping: MoesifMiddleware
):
    """D5: after a change of it each event fetched it again. Here the shipper does, once for all."""
    collector.set_config(None, {"sample_rate": 100})
    with requests.Session() as session:
        for _ in range(30):
            session.get(api.url + "/echo", timeout=10)
    assert collector.wait_for(lambda store: store.counts().distinct == 30, 20), collector.store.summary()
    # Configuration and rules, at first and once for the change.
    assert requests_of(collector, "GET") <= 4


def requests_of(collector: Collector, method: str) -> int:
    return sum(count for key, count in collector.store.requests().items() if key.startswith(method))


def test_capture_is_undone_and_changes_no_argument(scene: Scene):
    """D6: unpatching left ``Session.request`` patched, and its positional arguments were mapped anew."""
    originals = (vars(requests.Session)["request"], vars(requests.adapters.HTTPAdapter)["send"], requests.get)
    scene.capture(LOCAL_DEBUG=True)
    with requests.Session() as session:
        # method, url, params, data, headers, cookies, files, auth, timeout, allow_redirects
        answer = session.request(
            "POST", scene.url("/echo"), {"p": "1"}, b"d", {"X": "h"}, {"c": "1"}, None, None, 10, False
        )
    assert answer.json() == {"method": "POST", "path": "/echo?p=1", "body": "d"}
    assert dict(scene.api.seen[-1].headers)["Cookie"] == "c=1"
    stop()
    found = (vars(requests.Session)["request"], vars(requests.adapters.HTTPAdapter)["send"], requests.get)
    # The same objects: a wrapper is equal to what it wraps.
    assert all(one is other for one, other in zip(originals, found, strict=True))


def test_what_asgi_applications_call_with_is_captured(scene: Scene):
    """D6: only requests was; httpx and aiohttp were not."""

    async def main() -> list[dict[str, Any]]:
        scene.capture()
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(scene.url("/echo?httpx"))
        async with aiohttp.ClientSession() as session, session.get(scene.url("/echo?aiohttp")) as response:
            await response.read()
        return await scene.events()

    uris = [event["request"]["uri"].partition("?")[2] for event in asyncio.run(main())]
    assert uris == ["httpx", "aiohttp"]

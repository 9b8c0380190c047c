"""Patching the client libraries: when, once, beside others, and undone."""

import asyncio
import copy
import gc
import gzip
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from inspect import unwrap
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3
import wrapt
from aiohttp import web
from lab.one_worker import run
from outgoing_calls.clients import CLIENTS, Asked, Client, Requests
from outgoing_calls.scene import Scene, outcome

from moesifasgi.outgoing import capture
from moesifasgi.outgoing.patches import Patches

PATCHED = [
    (requests.adapters.HTTPAdapter, "send"),
    (httpx.HTTPTransport, "handle_request"),
    (httpx.AsyncHTTPTransport, "handle_async_request"),
    (aiohttp.ClientSession, "_request"),
    (aiohttp.ClientRequest, "write_bytes"),
    (urllib3.HTTPConnectionPool, "urlopen"),
]
LIBRARIES = ("requests", "httpx", "aiohttp", "urllib3", "wrapt")
MAKE = """
import sys
from moesifasgi import MoesifMiddleware
settings = {{"APPLICATION_ID": "a", "TRANSPORT": "memory", "CAPTURE_OUTGOING_REQUESTS": {capture}}}
MoesifMiddleware(settings=settings)
"""

SLOW_IMPORT = """
import threading
from functools import partial
class Slow:
    # Of the library's parts this one takes its time.
    reached, go_on = threading.Event(), threading.Event()
    def find_spec(self, name, path=None, target=None):
        if name == "httpx._transports":
            self.reached.set()
            self.go_on.wait(10)
"""
IMPORT_MEANWHILE = """
import moesifasgi.outgoing.capture
sys.meta_path.insert(0, Slow())
importing = threading.Thread(target=__import__, args=("httpx",))
importing.start()
Slow.reached.wait(10)
threading.Timer(0.5, Slow.go_on.set).start()
make()
importing.join()
import httpx
print(hasattr(httpx.HTTPTransport.handle_request, "__wrapped__"))
"""


def printed(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("capture", "loaded"), [(False, set()), (True, {"wrapt"})])
def test_no_client_library_is_loaded_for_its_calls_to_be_recorded(capture: bool, loaded: set[str]):
    names = printed(
        MAKE.format(capture=capture) + "print(*{n.partition('.')[0] for n in sys.modules})"
    ).split()
    assert loaded == {*LIBRARIES} & {*names}


@pytest.mark.parametrize("first", ["", "import requests, httpx, aiohttp, urllib3"])
def test_a_library_is_patched_whether_it_is_imported_before_or_after(first: str):
    ask = """
import requests, httpx, aiohttp, urllib3, wrapt
patched = [
    requests.adapters.HTTPAdapter.send,
    httpx.HTTPTransport.handle_request,
    aiohttp.ClientSession._request,
    urllib3.HTTPConnectionPool.urlopen,
]
print([isinstance(each, wrapt.BoundFunctionWrapper) for each in patched])
"""
    assert printed(first + MAKE.format(capture=True) + ask) == "[True, True, True, True]"
    assert printed(first + MAKE.format(capture=False) + ask) == "[False, False, False, False]"


def test_what_was_patched_is_put_back(scene: Scene):
    before = [vars(owner)[name] for owner, name in PATCHED]
    scene.capture()
    assert all(isinstance(vars(owner)[name], wrapt.FunctionWrapper) for owner, name in PATCHED)
    capture.stop()
    after = [vars(owner)[name] for owner, name in PATCHED]
    # The same objects: a wrapper is equal to what it wraps.
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_second_middleware_does_not_record_a_call_twice(scene: Scene):
    scene.capture()
    scene.capture()
    asyncio.run(Requests().call(Asked(scene.url("/echo"))))
    assert len(asyncio.run(scene.events())) == 1


@pytest.fixture
def counting() -> Iterator[Any]:
    """Another package's patch over requests, put on when it is called, and what it saw."""
    seen: list[str] = []
    owner = requests.adapters.HTTPAdapter
    patched: list[Any] = []

    def put_on() -> list[str]:
        original = owner.send

        def send(self: Any, request: Any, **named: Any) -> Any:
            seen.append(request.url)
            return original(self, request, **named)

        patched.append(original)
        owner.send = send
        return seen

    yield put_on
    owner.send = patched[0]


def test_a_patch_that_came_before_ours_stays_in_effect(scene: Scene, counting: Any):
    seen = counting()
    scene.capture()
    asyncio.run(Requests().call(Asked(scene.url("/echo"))))
    capture.stop()
    asyncio.run(Requests().call(Asked(scene.url("/echo"))))
    assert len(seen) == 2
    assert len(asyncio.run(scene.events())) == 1


def test_a_patch_that_came_after_ours_survives_when_ours_is_undone(scene: Scene, counting: Any):
    original = vars(requests.adapters.HTTPAdapter)["send"]
    scene.capture()
    seen = counting()
    asyncio.run(Requests().call(Asked(scene.url("/echo"))))
    capture.stop()
    asyncio.run(Requests().call(Asked(scene.url("/echo"))))
    assert len(seen) == 2
    assert len(asyncio.run(scene.events())) == 1
    requests.adapters.HTTPAdapter.send = original


def test_an_inherited_function_is_given_back_to_its_class():
    class Base:
        def send(self) -> str:
            return "sent"

    class Derived(Base):
        pass

    patches = Patches()
    patches.wrap(Derived, "send", lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs) + "!")
    assert (Derived().send(), Base().send()) == ("sent!", "sent")
    patches.undo()
    assert "send" not in vars(Derived)


def test_a_library_that_is_not_built_as_we_know_it_is_left_alone(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    stranger = ModuleType("httpx2")
    monkeypatch.setitem(sys.modules, "httpx2", stranger)
    scene.capture()
    assert "calls made with this version of httpx2 are not recorded (AttributeError)" in caplog.text
    asyncio.run(Requests().call(Asked(scene.url("/echo"))))
    assert len(asyncio.run(scene.events())) == 1


@pytest.mark.parametrize("method", ["add", "content"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_fault_of_ours_costs_the_record_and_not_the_call(
    scene: Scene, client: Client, method: str, monkeypatch: pytest.MonkeyPatch
):
    def faulty(*arguments: object) -> None:
        raise RuntimeError("a mistake of ours")

    asked = Asked(scene.url("/echo"), "POST", b"x")
    bare = asyncio.run(client.call(asked))
    scene.capture()
    monkeypatch.setattr(f"moesifasgi.outgoing.call.BodyTap.{method}", faulty)
    assert asyncio.run(client.call(asked)) == bare
    assert scene.worker.counted("dropped.internal_error") == scene.worker.counted("captured") == 1


def test_a_request_that_nobody_can_describe_fails_as_it_always_does(scene: Scene):
    async def send() -> Any:
        with requests.Session() as session:
            return session.get_adapter("http://").send(requests.PreparedRequest())

    bare = asyncio.run(outcome(send()))
    scene.capture()
    assert asyncio.run(outcome(send())) == bare
    assert isinstance(bare[0], type)
    assert scene.worker.counted("dropped.internal_error") == 1


def test_calls_that_a_function_makes_are_not_recorded(scene: Scene):
    """Or each would be followed by another."""

    def look_up(request: Any, response: Any) -> str:
        return str(requests.get(scene.url("/echo?by=function"), timeout=10).status_code)

    async def look_up_later(request: Any, response: Any) -> str:
        async with httpx.AsyncClient(verify=False) as client:
            return str((await client.get(scene.url("/echo?by=function"))).status_code)

    async def main() -> dict[str, Any]:
        scene.capture(
            IDENTIFY_USER_OUTGOING=look_up, IDENTIFY_COMPANY_OUTGOING=look_up_later, HOOK_TIMEOUT=30
        )
        await Requests().call(Asked(scene.url("/echo")))
        return await scene.event()

    event = asyncio.run(main())
    assert (event["user_id"], event["company_id"]) == ("200", "200")
    # The context of the application is as it was: its next call is recorded.
    asyncio.run(Requests().call(Asked(scene.url("/echo"))))
    assert len(asyncio.run(scene.events())) == 2


def test_a_response_may_be_let_go_of_while_our_own_locks_are_held(scene: Scene):
    """A garbage collection can come at any point, within our own code too."""
    scene.capture()
    response = [requests.get(scene.url("/parts/3"), stream=True, timeout=10)]
    counters = scene.worker.channel.counters
    done = threading.Event()

    def let_go() -> None:
        with counters._lock:
            response.clear()
            gc.collect()
        done.set()

    threading.Thread(target=let_go, daemon=True).start()
    if not done.wait(10):
        counters.start_afresh()
        pytest.fail("the destructor waits for a lock that its own thread holds")
    assert asyncio.run(scene.event())["metadata"]["moesif"] == {"ending": "abandoned"}


@pytest.mark.parametrize("captures", [False, True])
def test_a_forgotten_response_is_closed_as_soon_as_before(scene: Scene, captures: bool):
    """No cycle of ours keeps it, and its connection, until the next garbage collection."""
    if captures:
        scene.capture(GET_METADATA_OUTGOING=lambda request, response: {})
    gc.disable()
    try:
        response = requests.get(scene.url("/parts/3"), stream=True, timeout=10)
        raw = weakref.ref(response.raw)
        del response
        assert raw() is None
    finally:
        gc.enable()


def test_a_forked_child_records_its_own_calls_and_none_of_its_parents(scene: Scene):
    scene.capture()
    response = requests.get(scene.url("/parts/3"), stream=True, timeout=10)
    pid = os.fork()
    if pid == 0:
        try:
            del response
            gc.collect()
            requests.get(scene.url("/echo?child"), timeout=10)
            uris = [event["request"]["uri"] for event in asyncio.run(scene.events())]
            os._exit(0 if uris == [scene.url("/echo?child")] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    response.close()
    assert asyncio.run(scene.event())["request"]["uri"] == scene.url("/parts/3")


def test_the_handshake_of_a_websocket_is_no_call(scene: Scene):
    async def shake(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str(await websocket.receive_str())
        return websocket

    async def main() -> str:
        app = web.Application()
        app.router.add_get("/", shake)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        scene.capture()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/") as websocket,
        ):
            await websocket.send_str("hello")
            said = await websocket.receive_str()
        await runner.cleanup()
        return said

    assert asyncio.run(main()) == "hello"
    assert asyncio.run(scene.events()) == []


def test_httpx_on_trio_is_recorded_like_on_asyncio(scene: Scene):
    async def main() -> int:
        async with httpx.AsyncClient(verify=False) as client:
            return (await client.post(scene.url("/echo"), content=b"x")).status_code

    scene.capture(IDENTIFY_USER_OUTGOING=lambda request, response: "ann")
    assert run("trio", main) == 200
    assert asyncio.run(scene.event())["user_id"] == "ann"


def test_middlewares_of_aiohttp_run_as_before_and_ours_is_innermost(scene: Scene):
    async def signed(request: Any, handler: Any) -> Any:
        request.headers["X-Signature"] = "s"
        return await handler(request)

    async def main() -> dict[str, Any]:
        scene.capture()
        async with (
            aiohttp.ClientSession(middlewares=(signed,)) as session,
            session.get(scene.url("/echo")) as response,
        ):
            await response.read()
        return await scene.event()

    assert asyncio.run(main())["request"]["headers"]["x-signature"] == "s"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_generator_that_is_redirected_ends_as_before(scene: Scene, client: Client):
    def asked() -> Asked:
        return Asked(scene.url("/redirect/307"), "POST", (part for part in [b"a", b"b"]))

    bare = asyncio.run(outcome(client.call(asked())))
    scene.capture()
    assert asyncio.run(outcome(client.call(asked()))) == bare
    assert scene.worker.counted("dropped.internal_error") == 0


def test_a_request_is_the_one_that_it_was_when_it_has_gone_out(scene: Scene):
    scene.capture()
    with httpx.Client(verify=False) as client:
        request = client.build_request("POST", scene.url("/echo"), content=iter([b"a", b"b"]))
        stream = request.stream
        client.send(request)
    assert request.stream is stream
    with requests.Session() as session:
        body = iter([b"a", b"b"])
        prepared = session.prepare_request(requests.Request("POST", scene.url("/echo"), data=body))
        session.send(prepared)
    assert prepared.body is body
    assert [event["request"]["body"] for event in asyncio.run(scene.events())] == ["YWI=", "YWI="]


async def by_requests(url: str, proxy: str) -> None:
    requests.get(url, proxies={"http": proxy}, timeout=10)  # noqa: ASYNC210


async def by_httpx(url: str, proxy: str) -> None:
    async with httpx.AsyncClient(proxy=proxy, verify=False) as client:
        await client.get(url)


async def by_aiohttp(url: str, proxy: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url, proxy=proxy) as response:
        await response.read()


async def by_urllib3(url: str, proxy: str) -> None:
    with urllib3.ProxyManager(proxy) as pool:
        pool.request("GET", url)


@pytest.mark.parametrize("get", [by_requests, by_httpx, by_aiohttp, by_urllib3])
def test_a_call_through_a_proxy_is_one_to_where_it_goes(scene: Scene, get: Any):
    scene.capture()
    asyncio.run(get("http://shop.example.org/echo?a=1", scene.api.url))
    assert scene.api.seen[-1].path == "http://shop.example.org/echo?a=1"
    assert asyncio.run(scene.event())["request"]["uri"] == "http://shop.example.org/echo?a=1"


def test_a_file_that_urllib3_sends_again_is_recorded_once(scene: Scene, tmp_path: Any):
    (tmp_path / "file").write_bytes(b"of a file")
    scene.capture()
    with (
        (tmp_path / "file").open("rb") as file,
        urllib3.PoolManager(retries=urllib3.Retry(2, allowed_methods=None, status_forcelist=[503])) as pool,
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        pool.request("PUT", scene.url("/status/503"), body=file)
    event = asyncio.run(scene.event())
    assert event["request"]["body"] == "b2YgYSBmaWxl"
    assert [seen.body for seen in scene.api.seen[-3:]] == [b"of a file"] * 3


@pytest.mark.parametrize("compressed_by", ["aiohttp", "application"])
def test_a_compressed_request_is_stored_as_what_it_holds(scene: Scene, compressed_by: str):
    named: dict[str, Any] = {"data": b'{"a": 1}', "compress": "gzip"}
    if compressed_by == "application":
        named = {"data": gzip.compress(b'{"a": 1}'), "headers": {"Content-Encoding": "gzip"}}

    async def main() -> dict[str, Any]:
        scene.capture()
        async with aiohttp.ClientSession() as session, session.post(scene.url("/echo"), **named) as response:
            await response.read()
        return await scene.event()

    event = asyncio.run(main())
    assert gzip.decompress(scene.api.seen[-1].body) == b'{"a": 1}'
    assert event["request"]["body"] == {"a": 1}
    assert event["request"]["headers"]["content-encoding"] == "gzip"


def test_a_read_that_is_cancelled_and_tried_again_is_one_call(scene: Scene):
    async def main() -> dict[str, Any]:
        scene.capture()
        async with aiohttp.ClientSession() as session, session.get(scene.url("/endless")) as response:
            assert await response.content.readany() == b"first"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(response.content.readany(), 0.05)
            assert await scene.events() == []
        return await scene.event()

    assert asyncio.run(main())["metadata"]["moesif"] == {"ending": "disconnected"}


def test_only_the_first_middleware_is_kept_for_calls_that_no_request_makes(scene: Scene):
    kept = []
    for _ in range(3):

        def skip(request: Any, response: Any) -> bool:
            return False

        kept.append(weakref.ref(skip))
        scene.capture(SKIP_OUTGOING=skip)
        del skip
    gc.collect()
    assert [function() is not None for function in kept] == [True, False, False]


def test_a_library_that_another_thread_is_just_importing_is_patched():
    make = MAKE.format(capture=True).replace("MoesifMiddleware(", "make = partial(MoesifMiddleware, ")
    assert printed(SLOW_IMPORT + make + IMPORT_MEANWHILE) == "True"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_what_was_patched_is_copied_and_pickled_like_any_function(scene: Scene, again: Any):
    scene.capture()
    for owner, name in PATCHED:
        assert unwrap(again(getattr(owner, name))) is unwrap(getattr(owner, name))
        assert unwrap(again(vars(owner)[name])) is unwrap(vars(owner)[name])
    sending = again(requests.adapters.HTTPAdapter(max_retries=2).send)
    assert sending.__self__.max_retries.total == 2
    request = requests.Request("GET", scene.url("/status/200")).prepare()
    assert sending(request).content == b"as you like"
    assert asyncio.run(scene.event())["request"]["uri"] == scene.url("/status/200")

"""What is to be true of each library, as functions that fail where it is not."""

import asyncio
import gc
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.one_worker import ask

from outgoing_calls.clients import Asked, Client
from outgoing_calls.scene import Scene, every, first, outcome

Check = Callable[[Client, Scene], Awaitable[None]]
JSON = {"Content-Type": "application/json"}
NOTES = "moesif"


@dataclass(frozen=True, slots=True)
class Instead:
    """What is true instead; without a check, the row says nothing of that library."""

    words: str
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """A row of the page."""

    name: str
    check: Check
    instead: Mapping[str, Instead] = field(default_factory=dict)
    """By the names of libraries for which it is not true."""


async def head(client: Client, scene: Scene) -> None:
    scene.capture()
    await client.call(Asked(scene.url("/status/418?a=1&b=%20"), "PUT", b"x", {"X-Own": "1"}))
    event = await scene.event()
    assert event["direction"] == "Outgoing"
    assert event["request"]["verb"] == "PUT"
    assert event["request"]["uri"] == scene.url("/status/418?a=1&b=%20")
    assert event["request"]["headers"]["x-own"] == "1"
    assert event["response"]["status"] == 418
    assert event["response"]["headers"]["content-type"] == "text/plain"
    assert event["response"]["time"] >= event["request"]["time"]


async def bodies(client: Client, scene: Scene) -> None:
    scene.capture()
    await client.call(Asked(scene.url("/echo"), "POST", b'{"a": [1]}', JSON))
    event = await scene.event()
    assert event["request"]["body"] == {"a": [1]}
    assert event["response"]["body"] == {"method": "POST", "path": "/echo", "body": '{"a": [1]}'}
    assert "metadata" not in event


async def no_bodies(client: Client, scene: Scene) -> None:
    scene.capture(LOG_BODY_OUTGOING=False)
    await client.call(Asked(scene.url("/echo"), "POST", b'{"a": [1]}', JSON))
    event = await scene.event()
    assert "body" not in event["request"]
    assert "body" not in event["response"]


async def packed(client: Client, scene: Scene) -> None:
    scene.capture()
    await client.call(Asked(scene.url("/gzip"), headers={"Accept-Encoding": "gzip"}))
    event = await scene.event()
    assert event["response"]["body"] == {"packed": True}
    assert event["response"]["headers"]["content-encoding"] == "gzip"


async def cookies(client: Client, scene: Scene) -> None:
    scene.capture()
    await client.call(Asked(scene.url("/cookies")))
    event = await scene.event()
    assert event["response"]["headers"]["set-cookie"] == "a=1, b=2"


async def long_bodies(client: Client, scene: Scene) -> None:
    scene.capture(MAX_BODY_SIZE=1000)
    answer = await client.call(Asked(scene.url("/bytes/300000"), "POST", b"y" * 5000))
    event = await scene.event()
    assert len(answer.body) == 300_000
    assert event["request"]["body"] == b64encode(b"y" * 1000).decode()
    assert event["response"]["body"] == b64encode(answer.body[:1000]).decode()
    notes = event["metadata"][NOTES]
    assert notes["request_body"] == {"cut_at_bytes": 1000, "size_bytes": 5000}
    assert notes["response_body"] == {"cut_at_bytes": 1000, "size_bytes": 300_000}


async def streamed_response(client: Client, scene: Scene) -> None:
    asked = Asked(scene.url("/parts/5"))
    bare = await every(client.parts(asked))
    scene.capture()
    assert await every(client.parts(asked)) == bare
    event = await scene.event()
    assert b"".join(bare) == b"part 0;part 1;part 2;part 3;part 4;"
    assert event["response"]["body"] == b64encode(b"".join(bare)).decode()
    assert "metadata" not in event


async def streamed_request(client: Client, scene: Scene) -> None:
    scene.capture()
    parts = [b'{"a":', b" [1]", b"}"]
    sent = (part for part in parts)
    await client.call(Asked(scene.url("/echo"), "POST", sent, JSON))
    event = await scene.event()
    assert event["request"]["body"] == {"a": [1]}
    seen = scene.api.seen[-1]
    assert seen.body == b"".join(parts)
    assert ("Transfer-Encoding", "chunked") in [(name.title(), value) for name, value in seen.headers]


async def redirects(client: Client, scene: Scene) -> None:
    asked = Asked(scene.url("/redirect/307"), "POST", b"once more")
    bare = await client.call(asked)
    scene.capture()
    assert await client.call(asked) == bare
    one, two = await scene.events()
    assert (one["response"]["status"], two["response"]["status"]) == (307, 200)
    assert two["request"]["uri"] == scene.url("/echo?again=1")
    assert one["request"]["body"] == two["request"]["body"] == b64encode(b"once more").decode()


async def redirect_bodies(client: Client, scene: Scene) -> None:
    scene.capture()
    await client.call(Asked(scene.url("/redirect/302")))
    one, _ = await scene.events()
    assert one["response"]["body"] == b64encode(b"elsewhere").decode()


async def unread_redirect_bodies(client: Client, scene: Scene) -> None:
    scene.capture()
    await client.call(Asked(scene.url("/redirect/302")))
    one, _ = await scene.events()
    assert "body" not in one["response"]
    assert one["metadata"][NOTES] == {"ending": "disconnected"}


async def _fails(client: Client, scene: Scene, asked: Asked) -> dict[str, Any]:
    """The event of a call that fails as it does when it is not recorded."""
    bare = await outcome(client.call(asked))
    scene.capture()
    recorded = await outcome(client.call(asked))
    assert recorded == bare
    assert isinstance(recorded[0], type)
    event = await scene.event()
    assert event["metadata"][NOTES]["ending"] == "failed"
    assert event["metadata"][NOTES]["error"]
    return event


async def no_connection(client: Client, scene: Scene) -> None:
    event = await _fails(client, scene, Asked("http://127.0.0.1:1/nobody"))
    assert "response" not in event
    assert event["request"]["uri"] == "http://127.0.0.1:1/nobody"


async def no_answer(client: Client, scene: Scene) -> None:
    event = await _fails(client, scene, Asked(scene.url("/reset"), "POST", b"x"))
    assert "response" not in event


async def time_out(client: Client, scene: Scene) -> None:
    event = await _fails(client, scene, Asked(scene.url("/slow"), timeout_s=0.1))
    assert "response" not in event


async def broken_body(client: Client, scene: Scene) -> None:
    event = await _fails(client, scene, Asked(scene.url("/broken")))
    assert event["response"]["status"] == 200


async def broken_preloaded_body(client: Client, scene: Scene) -> None:
    event = await _fails(client, scene, Asked(scene.url("/broken")))
    assert "response" not in event


async def failing_request_body(client: Client, scene: Scene) -> None:
    def parts() -> Any:
        yield b"some"
        raise LookupError("of the application")

    bare = await outcome(client.call(Asked(scene.url("/echo"), "POST", parts())))
    scene.capture()
    assert await outcome(client.call(Asked(scene.url("/echo"), "POST", parts()))) == bare
    event = await scene.event()
    assert event["metadata"][NOTES]["ending"] == "failed"
    assert event["request"]["body"] == b64encode(b"some").decode()


async def left(client: Client, scene: Scene) -> None:
    scene.capture()
    assert await first(client.parts(Asked(scene.url("/endless")))) == b"first"
    event = await scene.event()
    assert event["response"]["body"] == b64encode(b"first").decode()
    assert event["metadata"][NOTES] == {"ending": "disconnected"}


async def forgotten(client: Client, scene: Scene) -> None:
    scene.capture()
    await client.forget(Asked(scene.url("/parts/3")))
    gc.collect()
    event = await scene.event()
    assert event["response"]["status"] == 200
    assert event["metadata"][NOTES]["ending"] in ("abandoned", "disconnected")


async def cancelled(client: Client, scene: Scene) -> None:
    scene.capture()
    before = len(scene.api.seen)
    calling = asyncio.ensure_future(client.call(Asked(scene.url("/slow"))))
    deadline = asyncio.get_running_loop().time() + 10
    while len(scene.api.seen) == before:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    calling.cancel()
    await asyncio.wait((calling,))
    assert calling.cancelled()
    event = await scene.event()
    assert event["metadata"][NOTES] == {"ending": "disconnected"}
    assert "response" not in event


def _functions(seen: list[Any], *, later: bool) -> dict[str, Any]:
    def answering(answer: Any) -> Any:
        def at_once(request: Any, response: Any) -> Any:
            seen.append((request, response))
            return answer

        async def in_a_while(request: Any, response: Any) -> Any:
            await asyncio.sleep(0)
            return at_once(request, response)

        return in_a_while if later else at_once

    return {
        "SKIP_OUTGOING": answering(False),
        "IDENTIFY_USER_OUTGOING": answering("ann"),
        "IDENTIFY_COMPANY_OUTGOING": answering("acme"),
        "GET_SESSION_TOKEN_OUTGOING": answering("token"),
        "GET_METADATA_OUTGOING": answering({"trace": 7}),
    }


async def _is_asked(client: Client, scene: Scene, *, later: bool) -> None:
    seen: list[Any] = []
    scene.capture(**_functions(seen, later=later))
    await client.call(Asked(scene.url("/echo"), "POST", b'{"a": 1}', JSON))
    event = await scene.event()
    assert (event["user_id"], event["company_id"], event["session_token"]) == ("ann", "acme", "token")
    assert event["metadata"] == {"trace": 7}
    assert len(seen) == 5
    for request, response in seen:
        assert type(request) is client.request_type
        assert isinstance(response, client.response_type)


async def functions(client: Client, scene: Scene) -> None:
    await _is_asked(client, scene, later=False)


async def later_functions(client: Client, scene: Scene) -> None:
    await _is_asked(client, scene, later=True)


async def skipped(client: Client, scene: Scene) -> None:
    asked: list[Any] = []
    scene.capture(SKIP_OUTGOING=lambda *pair: True, IDENTIFY_USER_OUTGOING=lambda *pair: asked.append(pair))
    await client.call(Asked(scene.url("/echo")))
    assert await scene.events() == []
    assert asked == []
    assert scene.worker.counted("skipped") == 1


async def response_shown(client: Client, scene: Scene) -> None:
    found: list[Any] = []

    async def look(request: Any, response: Any) -> dict[str, Any]:
        read = response.json()
        found.append((str(request.url), request.method, await read if hasattr(read, "__await__") else read))
        return {}

    scene.capture(GET_METADATA_OUTGOING=look)
    answer = await client.call(Asked(scene.url("/gzip?n=1")))
    await scene.event()
    assert found == [(scene.url("/gzip?n=1"), "GET", {"packed": True})]
    assert answer.body == b'{"packed": true}'


async def failing_functions(client: Client, scene: Scene) -> None:
    def fails(request: Any, response: Any) -> Any:
        raise SystemExit("a mistake")

    scene.capture(IDENTIFY_USER_OUTGOING=fails, GET_METADATA_OUTGOING=lambda request, response: {"ok": True})
    answer = await client.call(Asked(scene.url("/echo")))
    event = await scene.event()
    assert answer.status == 200
    assert event["metadata"] == {"ok": True}
    assert scene.worker.counted("hook_failed") == 1


async def masks(client: Client, scene: Scene) -> None:
    def mask(eventmodel: Any) -> Any:
        eventmodel.request.headers.pop("x-other")
        return eventmodel

    scene.capture(
        MASK_EVENT_MODEL=mask,
        REQUEST_HEADER_MASKS=["authorization"],
        REQUEST_BODY_MASKS=["password"],
        RESPONSE_BODY_MASKS=["body"],
        REQUEST_QUERY_MASKS=["key"],
    )
    headers = {"Authorization": "Bearer hunter2", "X-Other": "hunter2", **JSON}
    asked = Asked(scene.url("/echo?key=hunter2"), "POST", b'{"password": "hunter2"}', headers)
    answer = await client.call(asked)
    event = await scene.event()
    assert b"hunter2" in answer.body
    assert event["request"]["body"] == {"password": "***"}
    assert event["response"]["body"]["body"] == "***"
    assert b"hunter2" not in scene.worker.wire.replace(b"/echo?key=hunter2", b"")


async def collector(client: Client, scene: Scene) -> None:
    # A collector is one for the whole process, so for all tests.
    scene.capture(BASE_URI=f"{scene.api.url}/echo/collector")
    await client.call(Asked(scene.url("/echo/collector/v1/events"), "POST", b"[]"))
    await client.call(Asked(scene.url("/echo")))
    event = await scene.event()
    assert event["request"]["uri"] == scene.url("/echo")
    assert scene.worker.counted("captured") == 1


async def served(client: Client, scene: Scene) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await client.call(Asked(scene.url("/echo")))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = scene.capture(
        app,
        IDENTIFY_USER=lambda request, response: request.headers["x-user"],
        IDENTIFY_COMPANY=lambda request, response: "acme",
        GET_SESSION_TOKEN=lambda request, response: "s",
    )
    await ask(app, "GET", "/", headers={"X-User": "ann"})
    by_direction = {event["direction"]: event for event in await scene.events()}
    assert set(by_direction) == {"Incoming", "Outgoing"}
    for event in by_direction.values():
        assert (event["user_id"], event["company_id"], event["session_token"]) == ("ann", "acme", "s")


_SYNCHRONOUS = {name: Instead("-") for name in ("requests", "httpx", "httpx2", "urllib3")}
_UNREAD = {"aiohttp": Instead("no: aiohttp does not read it", unread_redirect_bodies)}
_PRELOADED = {"urllib3": Instead("yes, without the response", broken_preloaded_body)}

FEATURES = (
    Feature("method, URL, headers, status, times", head),
    Feature("both bodies", bodies),
    Feature("`LOG_BODY_OUTGOING` `False`: neither", no_bodies),
    Feature("a compressed response is stored as what it holds", packed),
    Feature("repeated headers", cookies),
    Feature("bodies are cut at `MAX_BODY_SIZE`", long_bodies),
    Feature("a streamed response: the same parts in the same order, recorded at its end", streamed_response),
    Feature("a request body from a generator, which is read as it goes out", streamed_request),
    Feature("each hop of a redirect is an event", redirects),
    Feature("with the body of the answer that redirects", redirect_bodies, _UNREAD),
    Feature("no connection: the same exception, recorded", no_connection),
    Feature("no answer: the same", no_answer),
    Feature("a time-out: the same", time_out),
    Feature("a response that breaks off: the same", broken_body, _PRELOADED),
    Feature("a request body that raises: the same", failing_request_body),
    Feature("a response that is closed before its end is recorded as far as it was read", left),
    Feature("a response that is neither read nor closed is recorded", forgotten),
    Feature("a cancelled call is recorded", cancelled, _SYNCHRONOUS),
    Feature("`SKIP_OUTGOING`", skipped),
    Feature("functions get the library's own objects; their answers are in the event", functions),
    Feature("asynchronous functions too", later_functions),
    Feature("functions can read the response, though the application's stays unread", response_shown),
    Feature("a function that fails costs its answer only", failing_functions),
    Feature("masks by name, and `MASK_EVENT_MODEL`", masks),
    Feature("calls to the collector are not recorded", collector),
    Feature("user, company and session are those of the request that is served", served),
)

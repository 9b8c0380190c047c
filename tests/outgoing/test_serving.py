"""Whose an outgoing call is: that of the request in whose course it is made."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

import httpx
import pytest
import requests
from fastapi import BackgroundTasks, FastAPI, Request
from lab.one_worker import ask
from outgoing_calls.clients import Asked, Requests
from outgoing_calls.scene import Scene
from starlette.responses import PlainTextResponse, StreamingResponse

from moesifasgi.outgoing.serving import MAX_WAITING_BYTES, Room

CONCURRENT = 200
BASIC = {"Authorization": "Basic YW5uOnNlY3JldA=="}
"""ann:secret"""


def identify(request: Request, response: Any) -> str | None:
    return request.headers.get("x-user")


async def identify_later(request: Request, response: Any) -> str | None:
    await asyncio.sleep(0.001)
    return request.headers.get("x-user")


def named(name: str, request: Any, response: Any) -> dict[str, Any]:
    return {name: 1}


async def asking(app: Any, path: str, user: str) -> httpx.Response:
    return await ask(app, "GET", path, headers={"X-User": user})


def calling(scene: Scene, **settings: Any) -> tuple[FastAPI, Any]:
    """An application, and the same with calls recorded."""
    app = FastAPI()
    return app, scene.capture(app, **settings)


def users(events: list[dict[str, Any]], direction: str = "Outgoing") -> list[str | None]:
    return [event.get("user_id") for event in events if event["direction"] == direction]


@pytest.mark.parametrize("function", [identify, identify_later])
def test_of_many_concurrent_calls_none_is_lost_or_another_requests(scene: Scene, function: Any):
    app, recorded = calling(
        scene, IDENTIFY_USER=function, GET_SESSION_TOKEN=lambda *pair: "s", HOOK_TIMEOUT=30
    )

    @app.get("/twice/{user}")
    async def twice(user: str) -> str:
        async with httpx.AsyncClient(verify=False) as client:
            urls = [scene.url(f"/echo?of={user}&n={n}") for n in range(2)]
            await asyncio.gather(*map(client.get, urls))
        return user

    async def main() -> list[dict[str, Any]]:
        names = [f"user-{number}" for number in range(CONCURRENT // 2)]
        answers = await asyncio.gather(*(asking(recorded, f"/twice/{name}", name) for name in names))
        assert [answer.json() for answer in answers] == names
        return await scene.events()

    events = asyncio.run(main())
    found = Counter(
        (event["user_id"], event["request"]["uri"].partition("of=")[2], event["session_token"])
        for event in events
        if event["direction"] == "Outgoing"
    )
    expected = {(f"user-{m}", f"user-{m}&n={n}", "s") for m in range(CONCURRENT // 2) for n in range(2)}
    assert found == Counter(expected)
    assert len({event["transaction_id"] for event in events}) == len(events) == CONCURRENT * 3 // 2


def test_without_functions_it_is_the_user_of_the_authorization_header(scene: Scene):
    app, recorded = calling(scene)

    @app.get("/")
    async def call() -> None:
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(scene.url("/echo"), headers={"Authorization": "Basic Ym9iOnNlY3JldA=="})
        # It waits for nothing: what is known of the request is known at once.
        assert users(await scene.events()) == ["ann"]

    assert asyncio.run(ask(recorded, "GET", "/", headers=BASIC)).status_code == 200


def test_where_no_request_is_served_a_call_is_nobodys(scene: Scene):
    async def main() -> dict[str, Any]:
        scene.capture()
        async with httpx.AsyncClient(verify=False, auth=("bob", "secret")) as client:
            await client.get(scene.url("/echo"))
        return await scene.event()

    event = asyncio.run(main())
    assert not {"user_id", "company_id", "session_token"} & set(event)
    assert "ip_address" not in event["request"]


def test_a_thread_that_the_framework_runs_an_endpoint_in_is_in_the_course_of_the_request(scene: Scene):
    app, recorded = calling(scene, IDENTIFY_USER=identify)

    @app.get("/")
    def call() -> str:
        requests.get(scene.url("/echo"), timeout=10)
        return threading.current_thread().name

    async def main() -> list[dict[str, Any]]:
        assert (await asking(recorded, "/", "ann")).json() != threading.current_thread().name
        return await scene.events()

    assert users(asyncio.run(main())) == ["ann"]


def test_asynchronous_functions_of_a_call_in_a_thread_run_in_the_loop_of_the_request(scene: Scene):
    async def look_up(request: Any, response: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"thread": threading.current_thread().name}

    app, recorded = calling(scene, GET_METADATA_OUTGOING=look_up, HOOK_TIMEOUT=30)

    @app.get("/")
    def call() -> None:
        requests.get(scene.url("/echo"), timeout=10)

    async def main() -> list[dict[str, Any]]:
        await asking(recorded, "/", "ann")
        return await scene.events()

    (event,) = [event for event in asyncio.run(main()) if event["direction"] == "Outgoing"]
    assert event["metadata"] == {"thread": threading.current_thread().name}


@pytest.mark.parametrize("later", [False, True])
def test_without_a_loop_asynchronous_functions_are_not_waited_for(scene: Scene, later: bool):
    async def look_up(request: Any, response: Any) -> str:
        return "ann"

    scene.capture(IDENTIFY_USER_OUTGOING=look_up if later else lambda *pair: "ann")
    requests.get(scene.url("/echo"), timeout=10)
    (event,) = scene.worker.events
    assert event.get("user_id") == (None if later else "ann")
    assert scene.worker.counted("hook_timed_out") == later


def test_a_background_task_is_in_the_course_of_the_request_and_what_outlives_it_is_not(scene: Scene):
    app, recorded = calling(scene, IDENTIFY_USER=identify)
    late: list[asyncio.Task[Any]] = []
    over = asyncio.Event()

    async def call(of: str) -> None:
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(scene.url(f"/echo?{of}"))

    async def outlive() -> None:
        await over.wait()
        await call("late")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(call, "background")
        late.append(asyncio.create_task(outlive()))

    async def main() -> list[dict[str, Any]]:
        await asking(recorded, "/", "ann")
        over.set()
        await asyncio.gather(*late)
        return await scene.events()

    events = [event for event in asyncio.run(main()) if event["direction"] == "Outgoing"]
    found = {event["request"]["uri"].partition("?")[2]: event.get("user_id") for event in events}
    assert found == {"background": "ann", "late": None}


def test_the_next_request_of_a_connection_is_another(scene: Scene):
    """A server may run all requests of a connection in one context: nothing of the last may stay in it."""
    app, recorded = calling(scene, IDENTIFY_USER=identify)

    @app.get("/")
    async def call() -> None:
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(scene.url("/echo"))

    async def main() -> list[dict[str, Any]]:
        await asking(recorded, "/", "ann")
        await Requests().call(Asked(scene.url("/echo?between")))
        await asking(recorded, "/", "bob")
        return await scene.events()

    assert Counter(users(asyncio.run(main()))) == Counter(["ann", None, "bob"])


def fails(request: Request, response: Any) -> str:
    raise LookupError("nobody knows")


@pytest.mark.parametrize(
    ("settings", "user"),
    [
        ({"IDENTIFY_USER": fails}, None),
        ({"IDENTIFY_USER": lambda *pair: None}, "ann"),
        ({"IDENTIFY_USER": identify, "SKIP": lambda *pair: True}, "ann"),
        ({"IDENTIFY_USER": identify, "EXCLUDE_PATHS": ["/"]}, "ann"),
        ({"IDENTIFY_USER": identify, "IDENTIFY_USER_OUTGOING": lambda *pair: "bob"}, "bob"),
        ({"IDENTIFY_USER": identify, "IDENTIFY_USER_OUTGOING": fails}, None),
    ],
)
def test_what_the_functions_say_counts_and_the_header_where_they_are_not_asked(
    scene: Scene, settings: dict[str, Any], user: str | None
):
    app, recorded = calling(scene, **settings)

    @app.get("/")
    async def call() -> None:
        await Requests().call(Asked(scene.url("/echo")))

    async def main() -> list[dict[str, Any]]:
        await ask(recorded, "GET", "/", headers=BASIC)
        return await scene.events()

    assert users(asyncio.run(main())) == [user]


def test_calls_of_a_request_that_fails_are_recorded_in_its_name(scene: Scene):
    app, recorded = calling(scene, IDENTIFY_USER=identify)

    @app.get("/")
    async def call() -> None:
        await Requests().call(Asked(scene.url("/echo")))
        raise LookupError("of the application")

    async def main() -> list[dict[str, Any]]:
        await asking(recorded, "/", "ann")
        return await scene.events()

    assert users(asyncio.run(main())) == ["ann"]


def test_calls_that_have_no_room_to_wait_leave_with_what_is_known(scene: Scene):
    app, recorded = calling(scene, IDENTIFY_USER=identify, MAX_BODY_SIZE=1_000_000)
    room_for = MAX_WAITING_BYTES // 1_000_000

    @app.get("/")
    async def call() -> None:
        for _ in range(room_for + 2):
            await Requests().call(Asked(scene.url("/bytes/1000000")))
        assert users(await scene.events()) == [None, None]

    async def main() -> list[dict[str, Any]]:
        await asking(recorded, "/", "ann")
        return await scene.events()

    assert Counter(users(asyncio.run(main()))) == Counter({"ann": room_for, None: 2})


def test_room_is_bounded_in_calls_and_in_bytes_and_given_back():
    room = Room(max_calls=2, max_bytes=10)
    assert [room.take(6), room.take(5), room.take(4), room.take(0)] == [True, False, True, False]
    room.give_back(6)
    assert room.take(6)


def test_a_call_belongs_to_the_middleware_that_serves_the_request(scene: Scene):
    """And without one to the first that records calls."""
    apps = {}
    for name in ("one", "two"):
        function = partial(named, name)
        app, apps[name] = calling(scene, APPLICATION_ID=f"app-{name}", GET_METADATA_OUTGOING=function)

        @app.get("/")
        async def call() -> None:
            await Requests().call(Asked(scene.url("/echo")))

    async def main() -> list[dict[str, Any]]:
        await asyncio.gather(*(ask(apps[name], "GET", "/") for name in ("two", "one")))
        await Requests().call(Asked(scene.url("/echo?nobody")))
        return await scene.events()

    events = [event for event in asyncio.run(main()) if event["direction"] == "Outgoing"]
    assert Counter(name for event in events for name in event["metadata"]) == Counter(one=2, two=1)
    (nobodys,) = [event for event in events if "nobody" in event["request"]["uri"]]
    assert nobodys["metadata"] == {"one": 1}
    keys = Counter(event.key for event in scene.worker.channel.events)
    assert sorted(keys.values()) == [2, 3]


def test_a_pool_of_threads_has_no_part_in_the_request(scene: Scene):
    """It keeps no context: what its threads do may be for anyone."""
    app, recorded = calling(scene, IDENTIFY_USER=identify)

    @app.get("/")
    async def call() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(requests.get, scene.url("/echo"), timeout=10).result()

    async def main() -> list[dict[str, Any]]:
        await asking(recorded, "/", "ann")
        return await scene.events()

    assert users(asyncio.run(main())) == [None]


def test_a_streaming_response_and_its_calls_are_one_request(scene: Scene):
    async def parts() -> Any:
        yield b"one"
        await Requests().call(Asked(scene.url("/echo")))
        yield b"two"

    async def main() -> list[dict[str, Any]]:
        app = scene.capture(StreamingResponse(parts()), IDENTIFY_USER=identify)
        assert (await asking(app, "/", "ann")).text == "onetwo"
        return await scene.events()

    assert users(asyncio.run(main())) == ["ann"]


def test_a_request_without_calls_is_recorded_as_ever(scene: Scene):
    async def main() -> dict[str, Any]:
        app = scene.capture(PlainTextResponse("hello"), IDENTIFY_USER=identify)
        assert (await asking(app, "/", "ann")).text == "hello"
        return await scene.event()

    event = asyncio.run(main())
    assert (event["direction"], event["user_id"]) == ("Incoming", "ann")


def test_a_call_that_outlives_the_run_of_its_loop_is_recorded_when_it_ends(scene: Scene):
    stopped = threading.Event()
    threads: list[threading.Thread] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began = threading.Event()

        def call() -> None:
            with requests.get(scene.url("/parts/3"), stream=True, timeout=10) as response:
                began.set()
                stopped.wait(10)
                assert response.content

        threads.append(threading.Thread(target=copy_context().run, args=(call,)))
        threads[0].start()
        await asyncio.to_thread(began.wait, 10)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    recorded = scene.capture(app, SKIP_OUTGOING=lambda request, response: False)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask(recorded, "GET", "/"))
    stopped.set()
    threads[0].join()
    directions = [event["direction"] for event in scene.worker.events]
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert directions == ["Incoming", "Outgoing"]

"""What becomes of outgoing calls: sampling, settings of both directions, calls to the collector."""

import asyncio
from typing import Any

import msgpack
import pytest
import requests
from lab.one_worker import ask
from outgoing_calls.clients import Asked, Requests
from outgoing_calls.scene import Scene
from starlette.responses import PlainTextResponse

from moesifasgi.inspector.schema import faults_of
from moesifasgi.outgoing.call import Sent
from moesifasgi.outgoing.capture import begin

BEARER = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhcGktdXNlciJ9.c2ln"}
"""An API's own user, ``api-user``."""


def call(scene: Scene, path: str = "/echo", **headers: str) -> None:
    asyncio.run(Requests().call(Asked(scene.url(path), headers=headers)))


def events(scene: Scene) -> list[dict[str, Any]]:
    return asyncio.run(scene.events())


def push(scene: Scene, **config: Any) -> None:
    scene.worker.channel.push(0, {"config": config, "rules": []})


def regex(path: str, pattern: str, rate: float) -> dict[str, Any]:
    return {"conditions": [{"path": path, "value": pattern}], "sample_rate": rate}


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"sample_rate": 0}, False),
        ({"sample_rate": 100, "user_sample_rate": {"ann": 0}}, False),
        ({"sample_rate": 100, "user_sample_rate": {"api-user": 0}}, True),
        ({"sample_rate": 100, "company_sample_rate": {"acme": 0}}, False),
        ({"sample_rate": 100, "regex_config": [regex("response.status", "418", 0)]}, False),
        ({"sample_rate": 100, "regex_config": [regex("request.route", "^/status", 0)]}, False),
        ({"sample_rate": 100, "regex_config": [regex("request.ip", ".", 0)]}, True),
    ],
)
def test_the_dashboards_rates_hold_for_outgoing_calls(scene: Scene, config: dict[str, Any], kept: bool):
    scene.capture(IDENTIFY_USER_OUTGOING=lambda *p: "ann", IDENTIFY_COMPANY_OUTGOING=lambda *p: "acme")
    push(scene, **config)
    call(scene, "/status/418", **BEARER)
    assert len(events(scene)) == kept
    assert scene.worker.counted("sampled_out") == 1 - kept


def test_no_credentials_of_a_call_name_its_user_for_the_dashboards_rates(scene: Scene):
    scene.capture()
    push(scene, sample_rate=100, user_sample_rate={"api-user": 0})
    call(scene, **BEARER, **{"X-Forwarded-For": "203.0.113.7"})
    (event,) = events(scene)
    assert "user_id" not in event
    assert "ip_address" not in event["request"]


def test_both_rates_multiply_and_weigh(scene: Scene):
    scene.capture(SAMPLE_RATE=50)
    push(scene, sample_rate=50)
    with requests.Session() as session:
        for _ in range(200):
            session.get(scene.url("/echo"), timeout=10)
    kept = events(scene)
    assert 15 < len(kept) < 110
    assert {event["weight"] for event in kept} == {4}
    assert scene.worker.counted("sampled_out") == 200 - len(kept)


def test_only_bodies_of_the_named_types_are_recorded(scene: Scene):
    scene.capture(LOG_CONTENT_TYPES=["application/json"])
    asyncio.run(
        Requests().call(Asked(scene.url("/status/200"), "POST", b"text", {"Content-Type": "text/plain"}))
    )
    asyncio.run(
        Requests().call(Asked(scene.url("/echo"), "POST", b"{}", {"Content-Type": "application/json"}))
    )
    text, json = events(scene)
    assert "body" not in text["request"]
    assert "body" not in text["response"]
    assert json["request"]["body"] == {}
    assert json["response"]["body"]["method"] == "POST"


def test_an_own_api_that_is_excluded_says_nothing_of_calls(scene: Scene):
    scene.capture(EXCLUDE_PATHS=["/echo"], EXCLUDE_METHODS=["GET"])
    call(scene)
    assert len(events(scene)) == 1


def test_without_the_setting_no_call_is_recorded(scene: Scene):
    async def main() -> list[dict[str, Any]]:
        async def app(*arguments: Any) -> None:
            await Requests().call(Asked(scene.url("/echo")))
            await PlainTextResponse("hello")(*arguments)

        await ask(scene.worker.wrap(app), "GET", "/")
        return await scene.events()

    assert [event["direction"] for event in asyncio.run(main())] == ["Incoming"]


@pytest.mark.parametrize(
    ("url", "is_recorded"),
    [
        ("https://api.moesif.net/v1/events/batch", False),
        ("https://API.MOESIF.NET:443/v1/events", False),
        ("http://api.moesif.net/v1/events", True),
        ("https://moesif.example.org/proxy/v1/events", False),
        ("https://moesif.example.org/proxy?x=/", False),
        ("https://moesif.example.org/proxyless", True),
        ("https://moesif.example.org/", True),
        ("https://moesif.example.org:8443/proxy/", True),
        ("https://example.org/?u=https://api.moesif.net/", True),
    ],
)
def test_a_call_to_any_collector_of_the_process_is_not_recorded(scene: Scene, url: str, is_recorded: bool):
    scene.capture()
    scene.worker.wrap(None, BASE_URI="https://moesif.example.org/proxy/")
    scheme, _, rest = url.partition("://")
    host, slash, target = rest.partition("/")
    name, _, port = host.partition(":")
    sent = Sent("GET", scheme, name, int(port) if port else None, f"{slash}{target}".encode(), [])
    begun = begin(lambda: sent)
    assert (begun is not None) == is_recorded
    if begun is not None:
        begun.failed(OSError())


def test_events_are_such_as_the_collector_takes(scene: Scene):
    scene.capture()
    for path in ("/echo?a=ü&b=%zz", "/status/204", "/gzip", "/cookies", "/redirect/303"):
        call(scene, path)
    with pytest.raises(requests.ConnectionError):
        call(scene, "/reset")
    made = events(scene)
    assert len(made) == 7
    assert [faults_of("events", event) for event in made] == [[]] * 7


def test_masks_leave_nothing_of_a_call_in_the_frame(scene: Scene):
    def mask(eventmodel: Any) -> Any:
        raise LookupError("no mask")

    scene.capture(MASK_EVENT_MODEL=mask)
    asyncio.run(
        Requests().call(Asked(scene.url("/echo?key=hunter2"), "POST", b"hunter2", {"X-Key": "hunter2"}))
    )
    assert b"hunter2" not in scene.worker.wire
    assert scene.worker.counted("withheld") == 1
    assert msgpack.unpackb(scene.worker.channel.events[0].payload)["direction"] == "Outgoing"

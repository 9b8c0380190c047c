"""The collector's endpoints over HTTP, as an ordinary client sees them."""

import contextlib
import gzip
import http.client
import time
import uuid
import zlib
from typing import Any

import orjson
import pytest
from moesifapi.configuration import Configuration
from moesifapi.models import EventModel, EventRequestModel, EventResponseModel
from moesifapi.moesif_api_client import MoesifAPIClient

from moesifasgi.inspector import Collector, Strictness
from moesifasgi.inspector.arrival import Upload
from moesifasgi.inspector.store import MAX_APPLICATIONS

JSON = {"Content-Type": "application/json"}
ITEMS = {
    "users": {"user_id": "u"},
    "companies": {"company_id": "c"},
    "subscriptions": {"subscription_id": "s", "company_id": "c", "status": "active"},
    "actions": {"action_name": "Clicked", "request": {"uri": "https://example.com/"}},
}


def test_an_event_and_a_batch_are_created(client: Any, collector: Collector, event: Any) -> None:
    one, batch = event(), [event(), event()]
    assert client.post("/v1/events", one).status_code == 201
    assert client.post("/v1/events/batch", batch).status_code == 201
    assert collector.store.items() == [one, *batch]
    assert collector.store.transaction_ids() == {each["transaction_id"] for each in (one, *batch)}
    assert collector.store.requests() == {"POST /v1/events 201": 1, "POST /v1/events/batch 201": 1}


@pytest.mark.parametrize("stream", ITEMS)
def test_other_items_are_created_one_by_one_and_in_batches(
    client: Any, collector: Collector, stream: str
) -> None:
    assert client.post(f"/v1/{stream}", ITEMS[stream]).status_code == 201
    assert client.post(f"/v1/{stream}/batch", [ITEMS[stream]]).status_code == 201
    assert collector.store.counts(stream).received == 2
    assert collector.store.items(stream) == [ITEMS[stream]] * 2


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_batches_are_read_and_both_sizes_counted(
    client: Any, collector: Collector, event: Any, encoding: str, pack: Any
) -> None:
    plain = orjson.dumps([event() for _ in range(10)])
    headers = {**JSON, "Content-Encoding": encoding}
    answer = client.session.post(f"{client.url}/v1/events/batch", data=pack(plain), headers=headers)
    assert answer.status_code == 201
    sizes = collector.store.summary()["bytes"]
    assert sizes == {"compressed": len(pack(plain)), "uncompressed": len(plain)}


@pytest.mark.parametrize("prefix", ["/collector", "/", "/a/b"])
def test_any_path_in_front_of_the_endpoint_is_accepted(
    client: Any, collector: Collector, event: Any, prefix: str
) -> None:
    assert client.post(f"{prefix}/v1/events", event()).status_code == 201
    assert collector.store.requests() == {"POST /v1/events 201": 1}


def test_one_invalid_event_refuses_its_whole_batch(client: Any, collector: Collector, event: Any) -> None:
    answer = client.post("/v1/events/batch", [event(), event(weight="x"), event()])
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "1 of 3 invalid",
        "faults": ["$[1].weight: expected an integer of at least 1, got a string"],
    }
    counts = collector.store.counts()
    assert (counts.received, counts.distinct, counts.invalid, counts.refused) == (3, 0, 1, 2)


def test_a_lenient_collector_stores_the_good_ones(client: Any, collector: Collector, event: Any) -> None:
    collector.be_strict(Strictness.ITEM)
    assert client.post("/v1/events/batch", [event(), event(weight="x")]).status_code == 201
    assert client.post("/v1/events", event(weight="x")).status_code == 400
    counts = collector.store.counts()
    assert (counts.received, counts.distinct, counts.invalid, counts.refused) == (3, 1, 2, 0)


def test_an_application_is_required_and_can_be_required_to_be_known(
    client: Any, other_client: Any, collector: Collector, event: Any
) -> None:
    del other_client.session.headers["X-Moesif-Application-Id"]
    assert other_client.post("/v1/events", event()).status_code == 401
    assert other_client.get("/v1/config").status_code == 401
    collector.accept(["somebody-else"])
    assert client.post("/v1/events", event()).status_code == 401
    collector.accept(None)
    assert client.post("/v1/events", event()).status_code == 201
    assert collector.store.counts().received == 1


def test_two_applications_are_kept_apart(
    client: Any, other_client: Any, collector: Collector, event: Any
) -> None:
    """B5: the published client's global configuration sends one application's events to the other."""
    same = event()
    client.post("/v1/events", same)
    other_client.post("/v1/events/batch", [same, event()])
    counts = {
        one["application"]: one["events"]["distinct"] for one in collector.store.summary()["applications"]
    }
    assert counts == {"…1234": 1, "…5678": 2}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({**JSON, "Content-Encoding": "br"}, b"{}", 415),
        ({**JSON, "Content-Encoding": "gzip"}, b"{}", 400),
        (JSON, b"{", 400),
        (JSON, b"{}", 400),
        (JSON, b"[1]", 400),
        (JSON, b"[" * 300 + b"]" * 300, 400),
        ({**JSON, "Content-Length": "x"}, b"", 400),
        ({**JSON, "Content-Length": "-1"}, b"", 400),
    ],
)
def test_a_bad_request_is_refused_and_nothing_stored(
    client: Any, collector: Collector, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = client.session.post(f"{client.url}/v1/events/batch", data=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert collector.store.counts().distinct == 0


def test_a_body_without_length_is_refused_and_the_connection_ends(client: Any, event: Any) -> None:
    body = iter([orjson.dumps(event())])
    answer = client.session.post(f"{client.url}/v1/events", data=body, headers=JSON)
    assert (answer.status_code, answer.headers["Connection"]) == (411, "close")


def test_an_application_beyond_the_bound_is_refused(client: Any, collector: Collector, event: Any) -> None:
    for number in range(MAX_APPLICATIONS - 1):
        collector.store.add(Upload(f"application-{number}", "users", 0.0, 0, 0))
    assert client.post("/v1/events", event()).status_code == 201
    collector.store.reset()
    for number in range(MAX_APPLICATIONS):
        collector.store.add(Upload(f"application-{number}", "users", 0.0, 0, 0))
    assert client.post("/v1/events", event()).status_code == 401


def test_an_event_that_is_nested_too_deep_is_invalid(client: Any, event: Any) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    faults = client.post("/v1/events", event(metadata={"deep": deep})).json()["faults"]
    assert faults == ["$: nested deeper than 254 levels"]


def test_a_bomb_of_over_50_megabytes_is_too_large(client: Any, collector: Collector) -> None:
    body = gzip.compress(b" " * 50_000_001, 1)
    headers = {**JSON, "Content-Encoding": "gzip"}
    answer = client.session.post(f"{client.url}/v1/events/batch", data=body, headers=headers)
    assert answer.status_code == 413


def test_a_plain_body_of_over_50_megabytes_can_be_sent_and_is_too_large(collector: Collector) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", collector.port)) as connection:
        connection.request("POST", "/v1/events/batch", b" " * 50_000_001, JSON)
        assert connection.getresponse().status == 413
    assert collector.store.requests() == {"POST /v1/events/batch 413": 1}


def test_a_batch_of_actions_is_limited_to_15_megabytes(client: Any) -> None:
    body = gzip.compress(b" " * 15_000_001, 1)
    headers = {**JSON, "Content-Encoding": "gzip"}
    answer = client.session.post(f"{client.url}/v1/actions/batch", data=body, headers=headers)
    assert answer.status_code == 413


def test_oversized_and_late_events_are_counted(client: Any, collector: Collector, event: Any) -> None:
    old = event()
    old["request"]["time"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 31 * 86_400))
    young = event()
    young["request"]["time"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 29 * 86_400))
    large = event(metadata={"a": "x" * 1_000_000})
    assert client.post("/v1/events/batch", [old, young, large]).status_code == 201
    counts = collector.store.counts()
    assert (counts.distinct, counts.late_over_30_days, counts.oversized) == (3, 1, 1)


def test_unknown_paths_and_wrong_methods_are_told_apart(client: Any, collector: Collector) -> None:
    assert client.post("/v1/nothing", {}).status_code == 404
    assert client.post("/v1/config/batch", {}).status_code == 404
    assert client.get("/v1/events").status_code == 405
    assert client.put("/v1/config", {}).status_code == 405
    assert collector.store.requests()["POST other 404"] == 2


def test_a_probe_needs_no_application(client: Any) -> None:
    del client.session.headers["X-Moesif-Application-Id"]
    assert client.get("/health/probe").json() == {"status": True, "region": "local"}


def test_without_a_decision_config_and_rules_are_empty(client: Any) -> None:
    assert client.get("/v1/config").json() == {}
    assert client.get("/v1/rules").json() == []


def test_tags_change_with_what_is_set_and_only_for_whom(
    client: Any, other_client: Any, collector: Collector, event: Any
) -> None:
    """B6: clients learn from these tags that there is something to fetch."""
    before = client.post("/v1/events", event()).headers
    collector.set_config("application-of-the-tests-1234", {"sample_rate": 50})
    collector.set_rules("application-of-the-tests-1234", [{"_id": "r"}])
    after = client.post("/v1/events/batch", [event()]).headers
    others = other_client.post("/v1/events", event()).headers
    for tag in ("X-Moesif-Config-ETag", "X-Moesif-Rules-Tag"):
        assert before[tag] == others[tag] != after[tag]
        assert client.get("/v1/config").headers[tag] == client.get("/v1/rules").headers[tag] == after[tag]
    assert client.get("/v1/config").json() == {"sample_rate": 50}
    assert client.get("/v1/rules").json() == [{"_id": "r"}]
    assert other_client.get("/v1/config").json() == {}


@pytest.mark.parametrize(
    ("path", "tag"), [("config", "X-Moesif-Config-ETag"), ("rules", "X-Moesif-Rules-Tag")]
)
def test_a_known_tag_is_answered_with_304(client: Any, collector: Collector, path: str, tag: str) -> None:
    collector.set_config(None, {"sample_rate": 10})
    known = client.get(f"/v1/{path}").headers[tag]
    for header in (known, f'"{known}"', f'W/"{known}"', f'"other", "{known}"'):
        answer = client.get(f"/v1/{path}", headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers[tag]) == (304, b"", known)
        assert "Content-Length" not in answer.headers
    assert client.get(f"/v1/{path}", headers={"If-None-Match": "other"}).status_code == 200


def test_one_connection_serves_many_requests(collector: Collector, event: Any) -> None:
    headers = {**JSON, "X-Moesif-Application-Id": "kept-alive-1234"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", collector.port)) as connection:
        connection.connect()
        first = connection.sock
        requests = [("POST", "/v1/events", orjson.dumps(event())), ("GET", "/v1/rules", None)] * 3
        for method, path, body in requests:
            connection.request(method, path, body, headers)
            assert connection.getresponse().read() is not None
            assert connection.sock is first


def test_the_published_client_is_served(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Configuration, "BASE_URI", collector.url)
    monkeypatch.setattr(Configuration, "application_id", None)
    api = MoesifAPIClient(str(uuid.uuid4())).api
    request = EventRequestModel(
        time="2099-01-01T10:00:00.123", uri="https://example.com/", verb="GET", headers={"a": "b"}
    )
    response = EventResponseModel(time="2099-01-01T10:00:00.123", status=204, headers={})
    headers = api.create_events_batch([EventModel(request=request, response=response) for _ in range(3)])
    assert headers["X-Moesif-Config-ETag"]
    assert collector.store.counts().distinct == 3

"""The schema against items that the contract allows or forbids, and the published client's own model."""

import copy
from typing import Any

import orjson
import pytest
from moesifapi.api_helper import APIHelper
from moesifapi.models import EventModel, EventRequestModel, EventResponseModel

from moesifasgi.inspector.schema import faults_of, moment_of

MISSING = object()
SUBSCRIPTION = {"subscription_id": "s", "company_id": "c", "status": "active"}


def changed(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    item = copy.deepcopy(item)
    *parents, last = path.split(".")
    target = item
    for name in parents:
        target = target[name]
    if value is MISSING:
        del target[last]
    else:
        target[last] = value
    return item


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("request", MISSING, "$.request: required, but missing"),
        ("request", [], "$.request: expected an object, got an array"),
        ("request.time", None, "$.request.time: required, but missing"),
        ("request.time", "yesterday", "$.request.time: expected an ISO 8601 time, got a string"),
        ("request.time", "2099-01-01", "$.request.time: expected an ISO 8601 time, got a string"),
        ("request.uri", "/a?b", "$.request.uri: expected an absolute URI with scheme and host, got a string"),
        (
            "request.uri",
            "http://h/a b",
            "$.request.uri: expected an absolute URI with scheme and host, got a string",
        ),
        ("request.uri", MISSING, "$.request.uri: required, but missing"),
        ("request.verb", "", "$.request.verb: expected a non-empty string, got a string"),
        ("request.headers", MISSING, "$.request.headers: required, but missing"),
        ("request.headers", {"a": ["b"]}, "$.request.headers.a: expected a string, got an array"),
        ("request.headers", {"a": 1}, "$.request.headers.a: expected a string, got a number"),
        ("request.api_version", 1.0, "$.request.api_version: expected a string, got a number"),
        (
            "request.transfer_encoding",
            "gzip",
            "$.request.transfer_encoding: expected one of json, base64, got a string",
        ),
        ("response.status", "200", "$.response.status: expected an integer, got a string"),
        ("response.status", True, "$.response.status: expected an integer, got a boolean"),
        ("response.time", MISSING, "$.response.time: required, but missing"),
        ("transaction_id", "1234", "$.transaction_id: expected a UUID of 36 characters, got a string"),
        ("transaction_id", "a" * 32, "$.transaction_id: expected a UUID of 36 characters, got a string"),
        ("user_id", 12, "$.user_id: expected a string, got a number"),
        ("direction", "incoming", "$.direction: expected one of Incoming, Outgoing, Internal, got a string"),
        ("weight", 0, "$.weight: expected an integer of at least 1, got a number"),
        ("metadata", "x", "$.metadata: expected an object, got a string"),
    ],
)
def test_a_fault_in_an_event_is_told_with_its_path(event: Any, path: str, value: Any, words: str) -> None:
    assert faults_of("events", event()) == []
    assert faults_of("events", changed(event(), path, value)) == [words]


def test_an_address_that_is_none_is_a_fault(event: Any) -> None:
    """A9: the published client sent whatever X-Forwarded-For held."""
    assert faults_of("events", changed(event(), "request.ip_address", "evil")) == [
        "$.request.ip_address: expected an IP address, got a string"
    ]


@pytest.mark.parametrize("missing", ["response", "direction", "transaction_id"])
def test_optional_fields_may_be_missing_or_null(event: Any, missing: str) -> None:
    assert faults_of("events", changed(event(), missing, MISSING)) == []
    assert faults_of("events", changed(event(), missing, None)) == []


def test_fields_that_the_contract_does_not_name_are_accepted(event: Any) -> None:
    assert faults_of("events", event(content_length=3)) == []


@pytest.mark.parametrize("body", [None, 1, "text", [1], {"a": {"b": None}}])
def test_a_json_body_may_be_any_value(event: Any, body: Any) -> None:
    assert faults_of("events", changed(event(), "request.body", body)) == []


def test_a_base64_body_is_a_base64_string(event: Any) -> None:
    encoded = changed(event(), "response.transfer_encoding", "base64")
    assert faults_of("events", changed(encoded, "response.body", "aGVsbG8=")) == []
    assert faults_of("events", changed(encoded, "response.body", "hello!")) != []
    assert faults_of("events", changed(encoded, "response.body", {"a": 1})) != []


def test_all_faults_of_an_item_are_told_under_the_path_of_the_item(event: Any) -> None:
    broken = changed(event(weight="1"), "response.status", None)
    assert faults_of("events", broken, "$[3]") == [
        "$[3].response.status: required, but missing",
        "$[3].weight: expected an integer of at least 1, got a string",
    ]


@pytest.mark.parametrize(
    ("stream", "item"),
    [
        ("users", {"user_id": "u", "metadata": {"email": "a@b"}, "campaign": {"utm_source": "x"}}),
        ("users", {"user_id": "u", "modified_time": "2099-01-01T10:00:00Z", "ip_address": "10.0.0.1"}),
        ("companies", {"company_id": "c", "company_domain": "example.com"}),
        ("subscriptions", SUBSCRIPTION),
        ("subscriptions", {**SUBSCRIPTION, "items": [{"plan_id": "p"}]}),
        ("actions", {"action_name": "Clicked", "request": {"uri": "https://example.com/"}}),
    ],
)
def test_other_items_are_accepted_as_documented(stream: str, item: dict[str, Any]) -> None:
    assert faults_of(stream, item) == []


@pytest.mark.parametrize(
    ("stream", "item", "words"),
    [
        ("users", {}, "$.user_id: required, but missing"),
        ("users", {"user_id": 7}, "$.user_id: expected a string, got a number"),
        (
            "users",
            {"user_id": "", "campaign": {"gclid": 1}},
            "$.campaign.gclid: expected a string, got a number",
        ),
        ("companies", {"company_domain": "example.com"}, "$.company_id: required, but missing"),
        ("subscriptions", {"subscription_id": "s", "company_id": "c"}, "$.status: required, but missing"),
        ("subscriptions", {**SUBSCRIPTION, "items": [{}]}, "$.items[0].plan_id: required, but missing"),
        ("actions", {"action_name": "Clicked", "request": {}}, "$.request.uri: required, but missing"),
        ("actions", [], "$: expected an object, got an array"),
    ],
)
def test_a_fault_in_another_item_is_told_with_its_path(stream: str, item: Any, words: str) -> None:
    assert faults_of(stream, item) == [words]


def test_what_the_published_model_makes_is_accepted() -> None:
    model = EventModel(
        request=EventRequestModel(
            time="2099-01-01T10:00:00.123",
            uri="https://example.com/",
            verb="GET",
            headers={"a": "b"},
            body=[1],
        ),
        response=EventResponseModel(time="2099-01-01T10:00:00.123", status=204, headers={}),
        user_id="u",
        direction="Incoming",
    )
    assert faults_of("events", orjson.loads(APIHelper.json_serialize(model))) == []


def test_a_time_without_zone_is_utc() -> None:
    times = ("1970-01-02T00:00:00.000", "1970-01-02T00:00:00Z", "1970-01-02T02:00:00+02:00")
    assert [moment_of({"request": {"time": time}}) for time in times] == [86_400.0] * 3
    assert moment_of({}) is None

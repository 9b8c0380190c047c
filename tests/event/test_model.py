"""The event as the function's EventModel, and back."""

import datetime
from typing import Any

import pytest
from moesifapi.models import EventModel, EventRequestModel

from moesifasgi.event.model import event_of, model_of

ABSENT = ...


def event(body: Any = ABSENT, encoding: str = "json") -> dict[str, Any]:
    fields = {} if body is ABSENT else {"body": body, "transfer_encoding": encoding}
    return {
        "request": {
            "time": "2024-01-02T00:00:00.000",
            "uri": "http://example.org/p?a=1",
            "verb": "GET",
            "headers": {"a": "1"},
            "ip_address": "192.0.2.1",
            **fields,
        },
        "response": {"time": "2024-01-02T00:00:01.000", "status": 200, "headers": {"b": "2"}, **fields},
        "transaction_id": "the-id",
        "user_id": "ann",
        "direction": "Incoming",
        "weight": 3,
        "metadata": {"m": 1},
    }


def published_example(eventmodel: Any) -> Any:
    if "password" in eventmodel.response.body:
        eventmodel.response.body["password"] = None
    return eventmodel


BODIES: list[tuple[Any, str]] = [
    ({"a": 1}, "json"),
    ([1, {"a": 2}], "json"),
    ([], "json"),
    ({}, "json"),
    (5, "json"),
    (2.5, "json"),
    (True, "json"),
    (0, "json"),
    (False, "json"),
    ("text", "json"),
    ("", "json"),
    (None, "json"),
    ("PGh0bWw+", "base64"),
    (ABSENT, ""),
]


@pytest.mark.parametrize(("body", "encoding"), BODIES, ids=repr)
def test_the_published_example_changes_nothing_in_a_body_without_a_password(body: Any, encoding: str):
    given = event(body, encoding)
    made = event_of(published_example(model_of(given)), given)

    assert made == event(body, encoding)
    assert type(made["response"].get("body")) is type(event(body, encoding)["response"].get("body"))


def test_the_published_example_removes_a_password():
    given = event({"password": "secret", "a": 1})

    assert event_of(published_example(model_of(given)), given)["response"]["body"] == {
        "password": None,
        "a": 1,
    }


def test_every_field_is_the_models():
    model = model_of(event({"a": 1}))

    assert isinstance(model, EventModel)
    assert (model.request.verb, model.request.uri) == ("GET", "http://example.org/p?a=1")
    assert (model.response.status, model.response.headers) == (200, {"b": "2"})
    assert (model.transaction_id, model.user_id, model.weight, model.metadata) == (
        "the-id",
        "ann",
        3,
        {"m": 1},
    )


def changed(change: Any, body: Any = ABSENT, encoding: str = "json") -> dict[str, Any]:
    given = event(body, encoding)
    model = model_of(given)
    change(model)
    return event_of(model, given)


def set_to(path: str, value: Any) -> Any:
    def change(model: Any) -> None:
        *owners, name = path.split(".")
        for owner in owners:
            model = getattr(model, owner)
        setattr(model, name, value)

    return change


@pytest.mark.parametrize("value", [None, "", "another", 5, object()])
def test_the_transaction_id_is_always_the_events_own(value: Any):
    assert changed(set_to("transaction_id", value))["transaction_id"] == "the-id"


@pytest.mark.parametrize(
    ("path", "broken", "stored"),
    [
        ("weight", 0, 3),
        ("weight", True, 3),
        ("weight", "many", 3),
        ("weight", 7, 7),
        ("direction", "sideways", "Incoming"),
        ("direction", None, "Incoming"),
        ("direction", {"n": 1}, "Incoming"),
        ("request.verb", None, "GET"),
        ("request.time", datetime.datetime(2024, 1, 2), "2024-01-02T00:00:00.000"),
        ("response.time", None, "2024-01-02T00:00:01.000"),
        ("request.time", "2024-01-02", "2024-01-02T00:00:00.000"),
        ("request.time", "2024-99-02T00:00", "2024-01-02T00:00:00.000"),
        ("request.time", "2024-01-02T10:00:00Z", "2024-01-02T10:00:00Z"),
        ("response.status", "200", 200),
        ("response.status", 10**30, 200),
        ("weight", 10**30, 3),
        ("request.uri", "http://h/a b\n", "http://h/a%20b%0A"),
        ("request.uri", "http:///p", "http://example.org/"),
        ("request.ip_address", "[::1]:80", "::1"),
        ("request.uri", "http://example.org/hidden", "http://example.org/hidden"),
        ("request.uri", None, "http://example.org/"),
        ("request.uri", "***", "http://example.org/"),
        ("request.headers", None, {}),
        ("request.headers", ["a"], {}),
        ("request.headers", {"A": None, "B": 5, "C": object(), 5: "x"}, {"b": "5", "5": "x"}),
        ("request.body", {1, 2}, [1, 2]),
        ("request.body", {"at": datetime.date(2024, 1, 2), "x": object()}, {"at": "2024-01-02"}),
        ("metadata", {"at": datetime.date(2024, 1, 2)}, {"at": "2024-01-02"}),
    ],
)
def test_what_the_function_broke_is_made_whole(path: str, broken: Any, stored: Any):
    made: Any = changed(set_to(path, broken))
    for name in path.split("."):
        made = made[name]

    assert made == stored


@pytest.mark.parametrize(
    "path", ["user_id", "metadata", "request.body", "response.body", "request.ip_address", "response"]
)
def test_what_the_function_removes_is_gone(path: str):
    made: Any = changed(set_to(path, None), {"a": 1})
    *owners, name = path.split(".")
    for owner in owners:
        made = made[owner]

    assert name not in made


@pytest.mark.parametrize("path", ["user_id", "metadata"])
def test_a_field_of_a_wrong_type_is_gone(path: str):
    assert path not in changed(set_to(path, object()))


@pytest.mark.parametrize(
    ("value", "encoding"),
    [({"a": 1}, "json"), ("plain text", "json"), ("bmV3", "base64"), (5, "json")],
)
def test_a_replaced_body_says_what_it_is(value: Any, encoding: str):
    made = changed(set_to("response.body", value), "PGh0bWw+", "base64")

    assert made["response"]["body"] == value
    assert made["response"]["transfer_encoding"] == encoding


def test_an_integer_of_any_size_survives():
    assert changed(set_to("request.body", {"n": 10**30}))["request"]["body"] == {"n": str(10**30)}


@pytest.mark.parametrize(
    "answer",
    [None, {}, "event", True, EventModel(), EventModel(request={"uri": "x"}), EventRequestModel()],
    ids=lambda answer: type(answer).__name__,
)
def test_what_is_no_event_model_is_refused(answer: Any):
    with pytest.raises(ValueError, match="EventModel"):
        event_of(answer, event())


def test_a_response_of_another_type_is_refused():
    with pytest.raises(ValueError, match="EventResponseModel"):
        changed(set_to("response", {"status": 200}))


def test_a_new_model_in_place_of_the_old_is_taken():
    given = event({"a": 1})
    made = event_of(EventModel(request=EventRequestModel(uri="http://example.org/", headers={})), given)

    assert made["request"] == {
        "time": "2024-01-02T00:00:00.000",
        "uri": "http://example.org/",
        "verb": "GET",
        "headers": {},
    }
    assert made["transaction_id"] == "the-id"
    assert "response" not in made


def test_an_event_without_a_response_has_none_afterwards():
    given = event()
    del given["response"]

    assert "response" not in event_of(published_example(model_of(given)), given)


@pytest.mark.parametrize("hidden", ["***", "", None, 5, "192.0.2.x"])
def test_an_address_that_was_hidden_is_left_out(hidden: Any):
    """A9: what is no address cost the whole batch."""
    assert "ip_address" not in changed(set_to("request.ip_address", hidden))["request"]

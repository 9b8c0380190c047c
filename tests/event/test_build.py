"""From a Record to the event that Moesif stores."""

import base64
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import moesifasgi
from moesifasgi.event.build import build_event
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.fields import DIRECTIONS
from moesifasgi.event.record import Ending, Record

PACKAGE_ROOT = Path(moesifasgi.__file__).parent.parent
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}")
EVENT_FIELDS = {
    "transaction_id": str,
    "user_id": str,
    "company_id": str,
    "session_token": str,
    "direction": str,
    "weight": int,
    "metadata": dict,
    "blocked_by": str,
    "request": dict,
    "response": dict,
}
REQUEST_FIELDS = {"uri": str, "verb": str, "api_version": str, "ip_address": str}
MESSAGE_FIELDS = {"time": str, "headers": dict, "body": object, "transfer_encoding": str}


def built(record: Record, **settings: Any) -> dict[str, Any]:
    event = build_event(record._replace(settings=EventSettings(**settings).on_wire))
    assert_is_valid(event)
    return event


def assert_is_valid(event: dict[str, Any]) -> None:
    """Against the collector's schema, written down here a second time."""
    orjson.dumps(event)
    json.dumps(event, allow_nan=False).encode()
    assert_has(event, EVENT_FIELDS, {"transaction_id", "request", "direction", "weight"})
    assert event["weight"] >= 1
    assert event["direction"] in DIRECTIONS
    request = event["request"]
    assert_has(request, MESSAGE_FIELDS | REQUEST_FIELDS, {"time", "uri", "verb", "headers"})
    assert re.match(r"https?://[^/]+/", request["uri"])
    assert_is_message(request)
    if "response" in event:
        assert_has(event["response"], MESSAGE_FIELDS | {"status": int}, {"time", "status", "headers"})
        assert_is_message(event["response"])


def assert_has(found: dict[str, Any], types: dict[str, type], required: set[str]) -> None:
    assert required <= set(found) <= set(types)
    assert all(isinstance(value, types[name]) for name, value in found.items())


def assert_is_message(message: dict[str, Any]) -> None:
    assert TIME.fullmatch(message["time"])
    assert all(type(text) is str for pair in message["headers"].items() for text in pair)
    assert ("body" in message) == ("transfer_encoding" in message)
    if message.get("transfer_encoding") == "base64":
        base64.b64decode(message["body"], validate=True)
    else:
        assert message.get("transfer_encoding") in {"json", None}


def notes(event: dict[str, Any]) -> dict[str, Any]:
    found = event.get("metadata", {}).get("moesif", {})
    assert isinstance(found, dict)
    return found


def test_an_ordinary_exchange_is_this_event(record):
    assert built(record, api_version="v2") == {
        "request": {
            "time": "2023-11-14T22:13:20.123",
            "uri": "https://api.example.com/items/%C3%A4%20b?page=1&q=a+b",
            "verb": "POST",
            "headers": {"host": "api.example.com", "content-type": "application/json"},
            "api_version": "v2",
            "ip_address": "203.0.113.7",
            "body": {"a": 1},
            "transfer_encoding": "json",
        },
        "response": {
            "time": "2023-11-14T22:13:21.500",
            "status": 201,
            "headers": {"content-type": "application/json"},
            "body": {"id": 7},
            "transfer_encoding": "json",
        },
        "transaction_id": "0af76519-16cd-43dd-8448-eb211c80319c",
        "direction": "Incoming",
        "weight": 1,
    }


def test_the_event_is_the_same_on_both_sides_of_the_wire(record):
    full = record._replace(user_id="u", metadata={"a": [1, {"b": None}]}, blocked_by="rule")
    assert built(full) == built(Record.from_wire(msgpack.unpackb(msgpack.packb(full))))


def test_what_the_worker_decided_is_in_the_event(record):
    given = {"user_id": "u", "company_id": "c", "session_token": "s", "blocked_by": "r", "weight": 4}
    event = built(record._replace(**given, direction="Outgoing", metadata={"plan": "free"}))
    assert {name: event[name] for name in given} == given
    assert (event["direction"], event["metadata"]) == ("Outgoing", {"plan": "free"})


def test_the_response_time_is_its_last_byte(record):
    """A11: the time was taken when the headers appeared."""
    assert (
        built(record._replace(ended_at=record.started_at + 60))["response"]["time"]
        == "2023-11-14T22:14:20.123"
    )


@pytest.mark.parametrize("direction", ["Incoming", "Internal", "Outgoing"])
def test_the_user_comes_from_the_authorization_unless_the_call_is_the_applications_own(record, direction):
    basic = (b"authorization", b"Basic " + base64.b64encode(b"ann:secret"))
    event = built(record._replace(request_headers=[basic], direction=direction))
    assert event.get("user_id") == (None if direction == "Outgoing" else "ann")


def test_the_identified_user_wins_over_the_authorization(record):
    basic = (b"authorization", b"Basic " + base64.b64encode(b"ann:secret"))
    assert built(record._replace(request_headers=[basic], user_id="bob"))["user_id"] == "bob"
    # Empty: the user's own function failed, so nobody knows, and a label of another kind would mislead.
    assert "user_id" not in built(record._replace(request_headers=[basic], user_id=""))


def test_the_settings_of_the_application_choose_header_field_and_proxies(record):
    payload = base64.b64encode(b'{"user": {"id": 5}}')
    headers = [(b"x-auth", b"x." + payload + b".y"), (b"x-forwarded-for", b"1.1.1.1, 198.51.100.1")]
    chosen = {"authorization_headers": ("x-auth",), "authorization_user_id_field": "user.id"}
    event = built(record._replace(request_headers=headers), trusted_proxies=("203.0.113.0/24",), **chosen)
    assert (event["user_id"], event["request"]["ip_address"]) == ("5", "198.51.100.1")


def test_a_request_without_a_client_is_an_event_without_an_address(record):
    """A3: it was a 500."""
    assert "ip_address" not in built(record._replace(client=None))["request"]


def test_garbage_in_a_forwarding_header_is_no_address(record):
    """A9: it became bytes, which cost the whole batch."""
    event = built(record._replace(request_headers=[(b"x-forwarded-for", b"evil")]))
    assert event["request"]["ip_address"] == "203.0.113.7"


@pytest.mark.parametrize("body", [None, b""])
def test_an_absent_body_is_left_out_and_nothing_is_said(record, body):
    event = built(
        record._replace(request_body=body, request_body_size=0, response_body=body, response_body_size=0)
    )
    assert "body" not in event["request"]
    assert "body" not in event["response"]
    assert "metadata" not in event


def test_a_body_of_json_null_is_there_on_both_sides(record):
    event = built(
        record._replace(
            request_body=b"null", request_body_size=4, response_body=b"null", response_body_size=4
        )
    )
    for side in (event["request"], event["response"]):
        assert (side["body"], side["transfer_encoding"]) == (None, "json")


def test_a_body_that_is_not_to_be_recorded_is_not_spoken_of(record):
    changed = record._replace(
        request_body=None, request_complete=False, response_body=None, response_body_size=10**9
    )
    assert "metadata" not in built(changed)


def test_a_cut_body_is_stored_as_it_is_and_marked(record):
    """A5: bodies were kept without a bound."""
    event = built(record._replace(request_body=b'{"a"', response_body=b"[1]", response_body_size=4000))
    assert base64.b64decode(event["request"]["body"]) == b'{"a"'
    assert event["response"]["transfer_encoding"] == "base64"
    assert notes(event) == {
        "request_body": {"cut_at_bytes": 4, "size_bytes": 8},
        "response_body": {"cut_at_bytes": 3, "size_bytes": 4000},
    }


def test_a_body_cut_to_nothing_is_marked(record):
    event = built(record._replace(response_body=b""))
    assert "body" not in event["response"]
    assert notes(event) == {"response_body": {"cut_at_bytes": 0, "size_bytes": 9}}


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ([], b"", False),
        ([(b"content-length", b"0")], b"", False),
        ([(b"content-length", b"8")], b'{"a": 1}', False),
        ([(b"content-length", b"9")], b'{"a": 1}', True),
        ([(b"content-length", b"9" * 5000)], b"", True),
        ([(b"content-length", b"\xb2")], b"", False),
        ([(b"transfer-encoding", b"chunked")], b"", True),
        ([], b'{"a": 1}', True),
    ],
)
def test_a_request_body_is_called_unread_only_where_there_was_more(record, headers, body, said):
    changed = record._replace(request_headers=headers, request_body=body, request_body_size=len(body))
    expected = {"request_body": {"read_bytes": len(body)}} if said else {}
    assert notes(built(changed._replace(request_complete=False))) == expected
    assert notes(built(changed)) == {}


def test_a_bomb_is_stored_as_it_came_and_marked(record):
    """A8: it expanded to 40 MB in the event."""
    bomb = gzip.compress(bytes(40_000_000))
    headers = [(b"content-encoding", b"gzip")]
    event = built(record._replace(request_headers=headers, request_body=bomb, request_body_size=len(bomb)))
    assert base64.b64decode(event["request"]["body"]) == bomb
    assert notes(event) == {"request_body": {"undecoded": "too_large"}}


def test_an_application_that_raised_is_a_500_with_the_name_of_its_error(record):
    """A4: unhandled exceptions were not recorded at all."""
    failed = record._replace(
        status=None, ending=Ending.FAILED, error="ValueError", response_headers=[], response_body=None
    )
    event = built(failed)
    assert event["response"] == {"time": "2023-11-14T22:13:21.500", "status": 500, "headers": {}}
    assert notes(event) == {"ending": "failed", "error": "ValueError"}
    assert built(failed._replace(status=200))["response"]["status"] == 200


@pytest.mark.parametrize("ending", [Ending.DISCONNECTED, Ending.ABANDONED])
def test_an_exchange_without_a_response_has_none(record, ending):
    """A5: aborted exchanges were not recorded."""
    event = built(record._replace(status=None, ending=ending))
    assert "response" not in event
    assert notes(event) == {"ending": ending.name.lower()}


@pytest.mark.parametrize(
    ("own", "metadata"),
    [
        ({"a": 1}, {"a": 1, "moesif": {"ending": "abandoned"}}),
        ({"moesif": {"b": 2, "ending": "mine"}}, {"moesif": {"b": 2, "ending": "mine"}}),
        ({"moesif": "mine"}, {"moesif": "mine"}),
        ({"moesif": None}, {"moesif": None}),
    ],
)
def test_notes_join_the_users_metadata_and_replace_none_of_it(record, own, metadata):
    before = json.dumps(own)
    assert built(record._replace(ending=Ending.ABANDONED, metadata=own))["metadata"] == metadata
    assert json.dumps(own) == before


def test_metadata_that_cannot_be_stored_costs_only_itself(record):
    """A10: one bad metadata value cost the batch."""
    metadata = {"a": object(), "b": b"\xff", "c": float("nan"), "d": "\ud800", 5: 10**30}
    event = built(record._replace(metadata=metadata))
    assert event["metadata"] == {"b": "/w==", "c": None, "d": "\ufffd", "5": str(10**30)}


@pytest.mark.parametrize("field", ["method", "user_id", "company_id", "session_token", "blocked_by"])
def test_a_lone_surrogate_in_any_text_is_replaced(record, field):
    event = built(record._replace(**{field: "a\ud800"}))
    assert "a\ufffd" in {**event, **event["request"]}.values()


@pytest.mark.parametrize("transaction_id", ["", "t", "a" * 36, "0af76519-16cd-43dd-8448-eb211c80319c\n"])
def test_a_transaction_id_that_is_no_uuid_was_damaged(record, transaction_id):
    with pytest.raises(ValueError, match="UUID of 36 characters"):
        build_event(record._replace(transaction_id=transaction_id))


def test_a_request_without_a_method_has_a_verb_all_the_same(record):
    assert built(record._replace(method=""))["request"]["verb"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000"),
        (1700000000.05, "2023-11-14T22:13:20.050"),
        (1699999999.9999, "2023-11-14T22:13:19.999"),
        (-0.25, "1969-12-31T23:59:59.750"),
    ],
)
def test_times_have_three_digits_of_milliseconds(record, seconds, text):
    assert built(record._replace(started_at=seconds))["request"]["time"] == text


@pytest.mark.parametrize("field", ["started_at", "ended_at"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e18, -1e18])
def test_a_time_that_cannot_be_is_a_value_error(record, field, seconds):
    with pytest.raises(ValueError, match="seconds since the epoch"):
        build_event(record._replace(**{field: seconds}))


ANY_WIRE_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_a_damaged_record_is_a_value_error_or_a_valid_event(record, data):
    """A10: what could not be serialised cost the whole batch."""
    field = data.draw(st.sampled_from(Record._fields))
    damaged = record._replace(**{field: data.draw(ANY_WIRE_VALUE)})
    try:
        event = build_event(damaged)
    except ValueError as error:
        assert str(error)  # noqa: PT017  the other way out is valid too
    else:
        assert_is_valid(event)


NAMES = st.sampled_from(
    [
        b"host",
        b"content-type",
        b"content-encoding",
        b"content-length",
        b"authorization",
        b"x-forwarded-for",
        b"forwarded",
    ]
)
VALUES = st.binary(max_size=30) | st.sampled_from(
    [
        b"application/json",
        b"gzip",
        b"br, gzip",
        b"Bearer a.e30.c",
        b"Basic YTpi",
        b"multipart/form-data; boundary=b",
        b"zstd",
    ]
)
HEADERS = st.lists(st.tuples(NAMES | st.binary(max_size=8), VALUES), max_size=6)
BODIES = st.binary(max_size=60) | st.sampled_from(
    [b'{"a": NaN}', b'["\\ud800"]', gzip.compress(b"[1e999]"), b"9" * 40]
)


@settings(deadline=None)
@given(
    request=HEADERS,
    response=HEADERS,
    body=BODIES,
    path=st.binary(max_size=20) | st.none(),
    query=st.binary(max_size=20),
    client=st.none() | st.tuples(st.text(max_size=20), st.integers()),
    method=st.text(max_size=8),
)
def test_no_client_can_make_an_event_invalid(record, request, response, body, path, query, client, method):
    """A9, B8: one request of any client cost the batch that it was in."""
    hostile = record._replace(
        request_headers=request,
        request_body=body,
        request_body_size=len(body),
        response_headers=response,
        response_body=body,
        response_body_size=len(body),
        raw_path=path,
        query_string=query,
        client=client,
        method=method,
    )
    built(hostile)
    built(hostile, trusted_proxies=("0.0.0.0/0",))


def test_importing_the_package_loads_nothing_heavy():
    script = (
        f"import sys; sys.path.insert(0, {str(PACKAGE_ROOT)!r})\n"
        "import moesifasgi.event.build\n"
        "heavy = 'requests moesifapi starlette orjson email brotli zstandard socket threading decimal'\n"
        "print(sorted(set(heavy.split()) & set(sys.modules)))"
    )
    # Without the site module, through which other packages would load some of these.
    command = [sys.executable, "-S", "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"

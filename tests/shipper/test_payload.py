"""Items as JSON: what is encoded, cut, or refused."""

import base64

import msgpack
import orjson
import pytest

from moesifasgi.event.record import Record
from moesifasgi.inspector.schema import faults_of
from moesifasgi.shipper.cut import MAX_EVENT_BYTES
from moesifasgi.shipper.payload import Unserialisable, encode_item, pack
from moesifasgi.wire.messages import Kind

TRANSACTION = "5b7c1cf2-34f0-4d4a-8e0c-2f43ab4a1f10"


def encode(kind, item):
    return orjson.loads(encode_item(kind, msgpack.packb(item, datetime=True)))


def record(**fields):
    values = {
        "transaction_id": TRANSACTION,
        "started_at": 1.0,
        "ended_at": 2.0,
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "server": ("h", 80),
        "client": ("192.0.2.1", 1),
        "request_headers": [(b"host", b"h")],
        "request_body": None,
        "request_body_size": 0,
        "request_complete": True,
        "status": 200,
        "response_headers": [],
        "response_body": None,
        "response_body_size": 0,
    }
    return Record(**(values | fields))


def test_a_record_becomes_an_event_with_its_own_transaction_id():
    assert encode(Kind.RECORD, record())["transaction_id"] == TRANSACTION


def test_a_map_is_passed_on_as_it_is():
    assert encode(Kind.USER, {"user_id": "7", "metadata": {"n": [1, None]}}) == {
        "user_id": "7",
        "metadata": {"n": [1, None]},
    }


def test_ready_made_json_is_passed_on_byte_by_byte():
    ready = b'{ "user_id": "7" }'
    assert encode_item(Kind.USER, msgpack.packb(ready)) == ready


def test_what_json_does_not_know_is_written_as_text():
    """A10, B8: a time, bytes or NaN in the metadata cost neither the batch nor the event."""
    import datetime

    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    item = {"at": at, "raw": b"\xff!", "nan": float("nan"), 7: "key"}
    assert encode(Kind.EVENT, item) == {
        "at": "2026-01-02T00:00:00+00:00",
        "raw": "\ufffd!",
        "nan": None,
        "7": "key",
    }


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (Kind.EVENT, b""),
        (Kind.EVENT, b"\xc1"),
        (Kind.EVENT, msgpack.packb([1])),
        (Kind.EVENT, msgpack.packb({}) + b"more"),
        (Kind.EVENT, b"\xdd\xff\xff\xff\xff"),
        (Kind.EVENT, b"\x91" * 100_000),
        (Kind.EVENT, b"\x81\xa1a" * 600 + b"\x01"),
        (Kind.USER, msgpack.packb(b'{"a": NaN}')),
        (Kind.USER, msgpack.packb(b"[]")),
        (Kind.RECORD, msgpack.packb({})),
        (Kind.RECORD, msgpack.packb([1, 2])),
        (Kind.RECORD, msgpack.packb(record(started_at="noon"))),
        (Kind.RECORD, msgpack.packb(record(request_headers=7))),
    ],
)
def test_what_cannot_be_an_item_is_unserialisable_and_raises_nothing_else(kind, payload):
    """A9: what one client wrote costs at most its own event."""
    with pytest.raises(Unserialisable) as caught:
        encode_item(kind, payload)
    assert caught.value.code == "unserialisable"
    assert len(caught.value.reason) <= 200


def large(request_body, response_body):
    return {
        "transaction_id": TRANSACTION,
        "request": {"uri": "http://h/", "body": request_body},
        "response": {"status": 200, "body": response_body},
    }


def test_an_event_over_the_limit_keeps_the_beginning_of_its_bodies():
    """Contract 1.5: the server would cut it, without saying where."""
    made = encode(Kind.EVENT, large("a" * 800_000, {"key": "b" * 700_000}))
    assert len(orjson.dumps(made)) <= MAX_EVENT_BYTES
    assert len(orjson.dumps(made)) > MAX_EVENT_BYTES * 0.99
    kept = base64.b64decode(made["response"]["body"])
    assert kept.startswith(b'{"key":"bbb')
    assert made["response"]["transfer_encoding"] == "base64"
    assert made["metadata"]["moesif"]["response_body"] == {
        "cut_at_bytes": len(kept),
        "size_bytes": 700_010,
    }


def test_a_small_body_is_kept_whole_beside_a_large_one():
    made = encode(Kind.EVENT, large("small", "b" * 2_000_000))
    assert made["request"]["body"] == "small"
    assert "request_body" not in made["metadata"]["moesif"]
    assert len(made["response"]["body"]) > 800_000


def test_a_body_that_is_base64_is_not_encoded_twice():
    event = large(None, base64.b64encode(b"\x00" * 1_000_000).decode())
    event["response"]["transfer_encoding"] = "base64"
    made = encode(Kind.EVENT, event)
    assert set(base64.b64decode(made["response"]["body"])) == {0}


BODY = b"\x00\xff" * 500_000
FLOOD = [(b"x-%d" % number, b"v" * 20) for number in range(60_000)]


@pytest.mark.parametrize(
    ("fields", "limit", "cut"),
    [
        ({"raw_path": b"/" + b"a" * 1_000_000}, 64_000, ["request.uri"]),
        ({"query_string": b"\xff" * 1_000_000}, 64_000, ["request.uri"]),
        ({"method": "x" * 1_000_000}, 64_000, ["request.verb"]),
        ({"request_headers": [(b"x", b"\x00" * 200_000)]}, 64_000, ["request.headers"]),
        ({"response_headers": FLOOD}, 16_000, ["response.headers"]),
        (
            {"request_headers": FLOOD, "response_headers": FLOOD},
            4_000,
            ["request.headers", "response.headers"],
        ),
        ({"metadata": {"m": ["x" * 10_000] * 100}}, 4_000, ["metadata"]),
        ({"user_id": "u" * 1_000_000, "session_token": "s" * 9_000}, 64_000, ["user_id"]),
    ],
)
def test_whatever_makes_an_event_too_large_is_cut_and_noted(fields, limit, cut):
    """Contract 1.5: an event over 1 MB is cut by the collector, or refused, and nobody would know."""
    bodies = {"request_body": BODY, "request_body_size": len(BODY), "response_body": b"[1]"}
    made = encode(Kind.RECORD, record(**{**bodies, "response_body_size": 3, **fields}))
    assert faults_of("events", made) == []
    assert len(orjson.dumps(made)) <= MAX_EVENT_BYTES
    note = made["metadata"]["moesif"]
    assert (note["cut"]["limit"], note["cut"]["fields"]) == (limit, cut)
    assert note["cut"]["size_bytes"] > 1_000_000
    assert BODY.startswith(base64.b64decode(made["request"]["body"]))
    assert note["request_body"]["size_bytes"] == len(BODY)
    assert made["response"]["body"] == [1]


def test_metadata_of_100_kb_stays_whole_beside_bodies_that_are_cut():
    metadata = {"m": "x" * 100_000}
    bodies = {"request_body": BODY, "request_body_size": len(BODY), "metadata": metadata}
    made = encode(Kind.RECORD, record(**bodies))
    assert MAX_EVENT_BYTES * 0.99 < len(orjson.dumps(made)) <= MAX_EVENT_BYTES
    assert made["metadata"]["m"] == metadata["m"]
    kept_bytes = len(base64.b64decode(made["request"]["body"]))
    assert made["metadata"]["moesif"] == {
        "request_body": {"cut_at_bytes": kept_bytes, "size_bytes": len(BODY)}
    }


def test_what_a_middling_body_needs_is_taken_from_a_large_one():
    made = encode(Kind.EVENT, large("m" * 300_000, "b" * 2_000_000))
    assert made["request"]["body"] == "m" * 300_000
    assert MAX_EVENT_BYTES * 0.99 < len(orjson.dumps(made)) <= MAX_EVENT_BYTES


def test_a_body_that_was_cut_before_keeps_its_own_size_in_the_note():
    made = encode(Kind.RECORD, record(request_body=BODY, request_body_size=7_000_000))
    kept_bytes = len(base64.b64decode(made["request"]["body"]))
    assert made["metadata"]["moesif"]["request_body"] == {
        "cut_at_bytes": kept_bytes,
        "size_bytes": 7_000_000,
    }


@pytest.mark.parametrize(
    ("metadata", "limit"),
    [
        ({"m": [0] * 600_000}, 64_000),
        ({"k" * 1_000_000: 1}, 64_000),
        ({str(number): {"a": "x"} for number in range(100_000)}, 16_000),
        ({"m": [["x" * 100] * 1_000] * 20}, 250),
    ],
)
def test_lists_maps_and_names_are_cut_like_texts(metadata, limit):
    made = encode(Kind.USER, {"user_id": "u", "metadata": metadata})
    assert len(orjson.dumps(made)) <= MAX_EVENT_BYTES
    assert made["metadata"]["moesif"]["cut"]["limit"] == limit


def test_a_flood_of_headers_leaves_the_well_known_ones():
    flood = [(b"x-%d" % number, b"v" * 50) for number in range(30_000)]
    known = [(b"content-type", b"a/b"), (b"x-moesif-transaction-id", b"7"), (b"host", b"h")]
    made = encode(Kind.RECORD, record(request_headers=[*flood, *known]))
    headers = made["request"]["headers"]
    assert len(headers) == made["metadata"]["moesif"]["cut"]["limit"] < 30_000
    assert [headers[name.decode()] for name, _ in known] == ["a/b", "7", "h"]


def test_a_flood_of_metadata_leaves_the_notes():
    metadata = {f"name-{number}": "v" * 90 for number in range(9_999)}
    made = encode(Kind.RECORD, record(metadata=metadata, ending=2, error="Gone", status=None))
    assert {"ending", "error", "cut"} == set(made["metadata"]["moesif"])


def test_a_note_names_ten_fields_at_most():
    made = encode(Kind.USER, {"user_id": "u", **{f"{n}" + "x" * 999: "y" * 70_000 for n in range(20)}})
    fields = made["metadata"]["moesif"]["cut"]["fields"]
    assert (len(fields), len(fields[0])) == (10, 50)


def test_an_id_is_left_out_rather_than_cut():
    """Half an id is another one's."""
    made = encode(Kind.EVENT, {**large("x", "y"), "user_id": "u" * MAX_EVENT_BYTES, "company_id": "c"})
    assert "user_id" not in made
    assert made["company_id"] == "c"
    assert made["metadata"]["moesif"]["cut"]["fields"] == ["user_id"]


@pytest.mark.parametrize(
    ("kind", "stream", "item"),
    [
        (Kind.USER, "users", {"user_id": "u", "company_id": "c" * 70_000}),
        (Kind.COMPANY, "companies", {"company_id": "c"}),
        (Kind.SUBSCRIPTION, "subscriptions", {"subscription_id": "s", "company_id": "c", "status": "active"}),
        (Kind.ACTION, "actions", {"action_name": "a", "request": {"uri": "http://h/"}}),
    ],
)
def test_an_update_that_is_too_large_has_its_texts_cut(kind, stream, item):
    made = encode(kind, {**item, "metadata": {"m": "x" * 2_000_000, "plan": "free"}})
    assert faults_of(stream, made) == []
    assert len(made["metadata"]["m"]) == 64_000
    assert made["metadata"]["plan"] == "free"
    assert made["metadata"]["moesif"]["cut"]["fields"][-1] == "metadata"


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        (Kind.USER, {"user_id": "u" * MAX_EVENT_BYTES}),
        (
            Kind.SUBSCRIPTION,
            {"subscription_id": "s", "company_id": "c" * MAX_EVENT_BYTES, "status": "active"},
        ),
        (Kind.EVENT, {str(number): "x" for number in range(100_000)}),
    ],
)
def test_what_cannot_be_cut_is_refused(kind, item):
    with pytest.raises(Unserialisable) as caught:
        encode(kind, item)
    assert caught.value.code == "too_large"
    assert len(caught.value.reason) <= 200


def test_an_upload_is_one_array():
    assert orjson.loads(pack([b'{"a":1}', b'{"b":2}'])) == [{"a": 1}, {"b": 2}]
    assert pack([]) == b"[]"

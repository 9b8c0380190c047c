"""Items as JSON: what is encoded, cut, or refused."""

import base64

import msgpack
import orjson
import pytest

from moesifasgi.shipper.payload import MAX_EVENT_BYTES, Unserialisable, encode_item, pack
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

APPLICATION = Application("a" * 60)
TRANSACTION = "5b7c1cf2-34f0-4d4a-8e0c-2f43ab4a1f10"


def encode(kind, item):
    return orjson.loads(encode_item(kind, msgpack.packb(item, datetime=True), APPLICATION))


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
    return list((values | fields).values())


def test_a_record_becomes_an_event_with_its_own_transaction_id():
    assert encode(Kind.RECORD, record())["transaction_id"] == TRANSACTION


def test_a_map_is_passed_on_as_it_is():
    assert encode(Kind.USER, {"user_id": "7", "metadata": {"n": [1, None]}}) == {
        "user_id": "7",
        "metadata": {"n": [1, None]},
    }


def test_ready_made_json_is_passed_on_byte_by_byte():
    ready = b'{ "user_id": "7" }'
    assert encode_item(Kind.USER, msgpack.packb(ready), APPLICATION) == ready


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
        encode_item(kind, payload, APPLICATION)
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
    assert base64.b64decode(made["request"]["body"]) == b"small"
    assert len(made["response"]["body"]) > 800_000


def test_a_body_that_is_base64_is_not_encoded_twice():
    event = large(None, base64.b64encode(b"\x00" * 1_000_000).decode())
    event["response"]["transfer_encoding"] = "base64"
    made = encode(Kind.EVENT, event)
    assert set(base64.b64decode(made["response"]["body"])) == {0}


def test_an_event_that_is_too_large_without_its_bodies_is_refused():
    with pytest.raises(Unserialisable) as caught:
        encode(Kind.EVENT, {**large("x", "y"), "metadata": {"m": "x" * MAX_EVENT_BYTES}})
    assert caught.value.code == "too_large"


def test_an_upload_is_one_array():
    assert orjson.loads(pack([b'{"a":1}', b'{"b":2}'])) == [{"a": 1}, {"b": 2}]
    assert pack([]) == b"[]"

"""Whatever was captured, and whatever a mask makes of it: the collector takes it.

The same examples in every run, so that a failure is a change's and not the day's.
"""

import gzip
import json
import uuid
from typing import Any

import msgpack
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from moesifasgi.event.build import build_event
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.fields import DIRECTIONS
from moesifasgi.event.jsonable import jsonable
from moesifasgi.event.model import event_of, model_of
from moesifasgi.event.record import Ending, Record
from moesifasgi.inspector.schema import faults_of
from moesifasgi.shipper.payload import encode_item
from moesifasgi.wire.messages import Kind

COLLECTOR_MAX_BYTES = 1_000_000
"""One event's limit; contract, section 1.5."""
SETTINGS = [
    None,
    EventSettings(api_version="v\ud800", trusted_proxies=("0.0.0.0/0", "::/0")),
    EventSettings(authorization_headers=("x-token", "authorization"), trusted_proxies=()),
]
same_each_run = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    # To make a failure smaller takes longer than to read it.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

NAMES = st.binary(max_size=8) | st.sampled_from(
    [
        b"Host",
        b"content-type",
        b"Content-Encoding",
        b"content-length",
        b"Authorization",
        b"x-token",
        b"x-forwarded-for",
        b"forwarded",
        b"transfer-encoding",
    ]
)
VALUES = st.binary(max_size=30) | st.sampled_from(
    [
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=b",
        b"gzip",
        b"br, gzip",
        b"zstd",
        b"deflate",
        b"api.example.com",
        b"[::1]:80",
        b"[::::]",
        b"9" * 5000,
        b"Bearer a.eyJzdWIiOiJcdWQ4MDAifQ.c",
        b"Basic YTpi",
        b'for="[2001:db8::1]:4711";by=_x',
        b"evil",
    ]
)
LENGTHS = st.sampled_from([1] * 12 + [40_000, 400_000])
"""How often something is repeated: seldom so often that the event is over its limit."""
HEADERS = st.builds(
    lambda fields, name, value, times: [*fields, (name, value * min(times, 200_000 // (len(value) + 1) + 1))],
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    *(NAMES, VALUES, LENGTHS),
) | st.builds(lambda times: [(b"x-%d" % n, b"\x00") for n in range(times // 4)], LENGTHS)
BODIES = st.none() | st.builds(
    lambda body, times: body * min(times, 1_200_000 // (len(body) + 1) + 1),
    st.binary(max_size=60)
    | st.sampled_from([b'{"a": NaN}', b'["\\ud800"]', b"[[[", b"a=1&", b"\x00", b'"\x01"', b"\xff"])
    | st.sampled_from([gzip.compress(b"[1e999]"), gzip.compress(b'["%s"]' % (b"\x7f" * 900_000))]),
    LENGTHS,
)
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=12)
LONG_TEXTS = st.builds(lambda text, times: text * min(times, 100_000), TEXTS, LENGTHS)
IDS = st.none() | LONG_TEXTS
SIZES = st.integers(0, 2**40)
ADDRESSES = st.none() | st.tuples(TEXTS | st.sampled_from(["::1", "192.0.2.1", "/run/a.sock"]), SIZES)
TIMES = st.floats(-6e10, 2.5e11)
METADATA = st.none() | st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | LONG_TEXTS | st.binary(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("moesif"), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
).map(jsonable)
"""As hooks leave it."""


@st.composite
def records(draw: st.DrawFn) -> Record:
    request_body, response_body = draw(BODIES), draw(BODIES)
    ending = draw(st.sampled_from(Ending))
    statuses = st.integers(-(2**63), 2**63 - 1)
    return Record(
        transaction_id=str(uuid.UUID(int=draw(st.integers(0, 2**128 - 1)))),
        started_at=draw(TIMES),
        ended_at=draw(TIMES),
        method=draw(LONG_TEXTS),
        scheme=draw(TEXTS | st.sampled_from(["http", "https"])),
        http_version=draw(TEXTS),
        path=draw(LONG_TEXTS),
        raw_path=draw(BODIES),
        root_path=draw(LONG_TEXTS),
        query_string=draw(BODIES) or b"",
        server=draw(ADDRESSES),
        client=draw(ADDRESSES),
        request_headers=draw(HEADERS),
        request_body=request_body,
        request_body_size=len(request_body or b"") + draw(SIZES),
        request_complete=draw(st.booleans()),
        status=draw(statuses if ending is Ending.COMPLETE else statuses | st.none()),
        response_headers=draw(HEADERS),
        response_body=response_body,
        response_body_size=len(response_body or b"") + draw(st.just(0) | SIZES),
        ending=ending,
        error=draw(IDS),
        user_id=draw(IDS),
        company_id=draw(IDS),
        session_token=draw(IDS),
        metadata=draw(METADATA),
        direction=draw(st.sampled_from(sorted(DIRECTIONS))),
        weight=draw(st.integers(1, 2**63)),
        blocked_by=draw(IDS),
    )


def assert_is_taken(encoded: bytes) -> None:
    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    event = json.loads(encoded.decode("utf-8", "strict"), parse_constant=refused)
    json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8", "strict")
    assert faults_of("events", event) == []
    assert len(encoded) <= COLLECTOR_MAX_BYTES


@same_each_run
@given(records(), st.sampled_from(SETTINGS))
def test_any_record_becomes_an_event_that_the_collector_takes(
    record: Record, told: EventSettings | None
) -> None:
    """A9, A10, B8: one event that could not be written, or that was refused, cost its whole batch."""
    payload = msgpack.packb(record._replace(settings=told), unicode_errors="replace")
    assert_is_taken(encode_item(Kind.RECORD, payload))


FIELDS = {
    "": ["transaction_id", "user_id", "session_token", "direction", "weight", "metadata", "blocked_by"],
    "request": ["time", "uri", "verb", "headers", "api_version", "ip_address", "body", "transfer_encoding"],
    "response": ["time", "status", "headers", "ip_address", "body", "transfer_encoding"],
}
ANSWERS = (
    TEXTS
    | st.none()
    | st.integers()
    | st.dictionaries(TEXTS, TEXTS, max_size=2)
    | st.sampled_from(["http://h/a b\n", "http:///", "***", "2099-01-01", "base64", "Outgoing"])
)
CHANGES = st.lists(
    st.sampled_from([(part, name) for part, names in FIELDS.items() for name in names]).flatmap(
        lambda field: st.tuples(*map(st.just, field), ANSWERS)
    ),
    max_size=6,
)


@same_each_run
@given(records(), CHANGES)
def test_whatever_a_mask_function_makes_of_an_event_the_collector_takes_it(
    record: Record, changes: list[tuple[str, str, Any]]
) -> None:
    """A6, A10: a mask's answer could be anything, and cost the response or the batch."""
    event = build_event(record)
    model = model_of(event)
    for part, name, answer in changes:
        setattr(getattr(model, part) if part else model, name, answer)
    payload = msgpack.packb(event_of(model, event))
    assert_is_taken(encode_item(Kind.EVENT, payload))

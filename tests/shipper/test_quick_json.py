"""The shortcut through a JSON body sees what the exact reading sees, or stands aside."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lab.corpus import orders

from moesifasgi.event.body import IN_THE_SHIPPER, stored_body
from moesifasgi.shipper.payload import encode_item
from moesifasgi.shipper.quick_json import quick_json
from moesifasgi.wire.messages import Kind

QUICK = IN_THE_SHIPPER._replace(shortcut=quick_json)
NUMBERS = st.integers() | st.floats() | st.integers(min_value=2**62, max_value=2**66).map(lambda n: -n)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
PIECES = st.sampled_from(
    [
        *('"', "\\", "\\ud83d", "\\ude00", "{", "}", "[", "]", ":", ",", '{"a":1,"a":2}', "é", "\ufeff"),
        *("-", "0", "1", "9" * 18, "e400", ".5", "E", "null", "NaN", "Infinity", " ", "\x0b", "\x00"),
    ]
)


def seen(raw: bytes, reading=IN_THE_SHIPPER) -> str:
    """As text, in which 1 is not 1.0 and -0.0 is not 0.0."""
    return repr(stored_body(raw, {"content-type": "application/json"}, reading=reading))


@given(VALUES, st.booleans())
def test_what_json_writes_is_read_alike(value, ascii_only):
    raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert seen(raw, QUICK) == seen(raw)


@given(st.lists(PIECES, max_size=12).map("".join))
@example(f"[{2**64}]")
@example(f"[{-(2**63) - 1}]")
@example(f"[{2**64 - 1}, 1e999, -0, -0.0, 0.1e-400]")
@example("[" * 101 + "]" * 101)
@example("[" * 100 + "]" * 100)
@example("[" + "[]," * 200 + "[]]")
@example('{"\\ud800": "\\ud83d\\ude00"}')
def test_whatever_else_comes_is_read_alike(text):
    for raw in (text.encode(), text.encode("utf-16"), text.encode("latin-1", "replace")):
        assert seen(raw, QUICK) == seen(raw)


@pytest.mark.parametrize("raw", [b'{"a": [1, 2.5, "\xc3\xa9", null]}', b"[" + b"{}," * 500 + b"{}]"])
def test_what_most_bodies_are_is_not_left_to_the_exact_reading(raw):
    assert quick_json(raw) == json.loads(raw)


def test_the_shipper_takes_the_shortcut(monkeypatch):
    """No behaviour shows it but the time that it saves."""
    asked = []
    monkeypatch.setattr("moesifasgi.shipper.quick_json.orjson.loads", lambda raw: asked.append(raw) or {})
    ((_, payload),) = orders(1)

    encode_item(Kind.RECORD, payload)

    assert len(asked) == 2

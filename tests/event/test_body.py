"""Bodies: what is JSON, what is a form, and what stays bytes."""

import base64
import gzip
import json
import math

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moesifasgi.event.body import ESCAPES_A_VALUE, IN_THE_WORKER, Reading, StoredBody, stored_body
from moesifasgi.event.charsets import _CODECS, codec_of

JSON_TYPE = {"content-type": "application/json"}


def stored(raw: bytes, content_type: str = "application/json") -> StoredBody:
    body = stored_body(raw, {"content-type": content_type})
    assert body is not None
    return body


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""]
)
@pytest.mark.parametrize(
    "raw", [b'{"a": [1]}', b' \r\n\t{"a":[1]}\n', b'\xef\xbb\xbf{"a":[1]}', '{"a":[1]}'.encode("utf-16")]
)
def test_a_json_object_is_json_in_whatever_type_and_encoding_it_comes(raw, content_type):
    """A8: JSON with leading whitespace was stored as base64."""
    assert stored(raw, content_type) == StoredBody({"a": [1]}, "json")


def test_a_charset_of_the_content_type_is_used_where_the_body_is_not_utf_8():
    assert stored('{"a":"é"}'.encode("latin-1"), 'application/json; charset="ISO-8859-1"').content == {
        "a": "é"
    }


@pytest.mark.parametrize("charset", ["cp1252", "Windows-1252", "x-cp1252", "windows_1252"])
def test_a_charset_is_known_by_any_of_its_names(charset):
    assert stored(b'{"a":"\x80"}', f"application/json; charset={charset}").content == {"a": "€"}


def test_every_charset_that_may_be_declared_has_its_codec():
    for codec in set(_CODECS.values()):
        assert codec_of(codec) == codec
        assert b"a".decode(codec) == "a"


def test_utf_8_is_believed_before_a_wrong_charset():
    assert stored('{"a":"é"}'.encode(), "application/json; charset=iso-8859-1").content == {"a": "é"}


@pytest.mark.parametrize("charset", ["zlib", "idna", "unicode_escape", "no-such-thing", ""])
def test_a_client_cannot_choose_any_codec_that_python_knows(charset):
    assert stored(b'{"a":"\xe9"}', f"application/json; charset={charset}").transfer_encoding == "base64"


def test_a_bare_number_is_json_only_where_it_is_declared_so():
    assert stored(b"12").content == 12
    assert stored(b"12", "text/plain") == StoredBody(base64.b64encode(b"12").decode(), "base64")


def test_a_null_that_is_declared_as_json_is_a_body():
    assert stored(b"null") == StoredBody(None, "json")


@pytest.mark.parametrize("raw", [b"", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00" + bytes(8)])
def test_a_body_that_is_empty_or_decodes_to_nothing_is_left_out(raw):
    assert stored_body(raw, {"content-encoding": "gzip"}) is None


@pytest.mark.parametrize(
    "raw", [b"hello", b'{"a": 1} trailing', b'{"a": 1', b"\xff\xfe\xfd", b"<p>", b"[1,]"]
)
def test_what_is_not_json_is_stored_as_it_is(raw):
    body = stored(raw)
    assert body.transfer_encoding == "base64"
    assert base64.b64decode(body.content) == raw


def test_a_cut_body_is_not_parsed_even_where_its_start_would_parse():
    body = stored_body(b"[1]", JSON_TYPE, cut=True)
    assert body == StoredBody(base64.b64encode(b"[1]").decode(), "base64")


def test_nan_and_infinity_become_null():
    """B8: a bare NaN from a client made the whole batch invalid JSON."""
    assert stored(b'{"a": NaN, "b": [-Infinity, Infinity, 1e999]}').content == {
        "a": None,
        "b": [None, None, None],
    }


def test_integers_beyond_64_bits_keep_their_digits_as_text():
    huge, large = "9" * 5000, "-" + "8" * 700
    raw = f"[{2**64 - 1}, {2**64}, {-(2**63)}, {-(2**63) - 1}, {huge}, {large}]".encode()
    assert stored(raw).content == [
        *(2**64 - 1, str(2**64), -(2**63), str(-(2**63) - 1)),
        *(huge, large),
    ]


@pytest.mark.parametrize("escape", ["\\ud800", "\\uDFFF", "\\uD83d"])
def test_a_lone_surrogate_becomes_the_replacement_character(escape):
    assert stored(f'{{"{escape}": "a{escape}b"}}'.encode()).content == {"\ufffd": "a\ufffdb"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r'["\\ud800"]', "\\ud800"),
        (r'["\\\ud800"]', "\\\ufffd"),
        (r'["\ud800\ud83d\ude00"]', "\ufffd\U0001f600"),
        (r'["\ud83d\ude00\ude00"]', "\U0001f600\ufffd"),
    ],
)
def test_only_what_is_half_a_pair_is_replaced(text, shown):
    assert stored(text.encode()).content == [shown]


def test_half_a_pair_in_a_name_is_replaced_too():
    assert stored(rb'{"\ud800": 1}').content == {"\ufffd": 1}


def test_an_escaped_pair_of_surrogates_stays_the_character_that_it_is():
    assert stored(b'["\\ud83d\\ude00"]').content == ["\U0001f600"]


def test_scrubbing_a_large_body_leaves_no_value_out():
    raw = json.dumps(["\ud800", *range(30_000)]).encode()
    assert stored(raw).content == ["\ufffd", *range(30_000)]


@pytest.mark.parametrize(("levels", "encoding"), [(100, "json"), (101, "base64"), (100_000, "base64")])
def test_nesting_is_parsed_to_a_hundred_levels(levels, encoding):
    assert stored(b"[" * levels + b"]" * levels).transfer_encoding == encoding


def test_a_wide_body_is_not_taken_for_a_deep_one():
    assert stored(b"[" + b"{}," * 500 + b"{}]").transfer_encoding == "json"


def test_the_last_of_repeated_keys_wins():
    assert stored(b'{"a":1,"a":2}').content == {"a": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" + b"0," * 8_000 + b"0]", "too_large"),
        (b"[" + b"[]," * 333_000 + b"0]", "too_large"),
        (json.dumps("x" * 300_000).encode(), "too_large"),
        (b"[" + b"0," * 5_000 + b"0]", None),
    ],
)
def test_a_body_beyond_its_bounds_is_stored_as_it_came(text, reason):
    """1 kB of gzip held up the event loop for a second."""
    raw = gzip.compress(text)
    body = stored_body(raw, {**JSON_TYPE, "content-encoding": "gzip"}, reading=IN_THE_WORKER)
    assert body is not None
    assert body.undecoded == reason
    assert (body.transfer_encoding == "base64") is (reason is not None)
    assert reason is None or base64.b64decode(body.content) == raw


def test_a_form_is_bounded_by_what_its_escapes_cost():
    """330 kB of them held up the event loop for 100 ms."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    most = b"a=" + b"%41" * (ESCAPES_A_VALUE * IN_THE_WORKER.values)
    for raw, undecoded in ((most, None), (most + b"%41" * ESCAPES_A_VALUE, "too_large")):
        body = stored_body(raw, form, reading=IN_THE_WORKER)
        assert body is not None
        assert body.undecoded == undecoded


@pytest.mark.parametrize(
    ("unit", "times", "undecoded"),
    [(b"[],", 333_000, "too_large"), (b"1,", 499_000, "too_large"), (b"0.123,", 160_000, None)],
)
def test_a_bomb_of_values_costs_the_shipper_little(unit, times, undecoded):
    """A8: 3 kB took 170 ms and became an event of 796 kB."""
    raw = gzip.compress(b"[" + unit * times + b"1]")
    body = stored_body(raw, {**JSON_TYPE, "content-encoding": "gzip"})
    assert body is not None
    assert body.undecoded == undecoded


def test_values_are_counted_in_a_body_without_a_coding_too():
    body = stored_body(b"[1,2,3]", JSON_TYPE, reading=Reading(values=2))
    assert body is not None
    assert (body.transfer_encoding, body.undecoded) == ("base64", "too_large")


JSON_TEXT = st.recursive(
    st.sampled_from(
        [b"null", b"NaN", b'"\\ud800"', b"1e999", b"-0", b"9" * 30, b'"x"', b"\xff", b"Infinity"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: b"[" + b",".join(items) + b"]")
        | st.lists(inner, max_size=4).map(
            lambda items: b"{" + b",".join(b'"\\ud800":' + i for i in items) + b"}"
        )
    ),
)


@settings(deadline=None)
@given(st.binary(max_size=80) | JSON_TEXT, st.text(max_size=60) | st.sampled_from(["application/json"]))
def test_every_body_is_something_that_a_strict_encoder_takes(raw, content_type):
    """B8: parsed NaN, and A9: bytes, went into the event."""
    body = stored_body(raw, {"content-type": content_type})
    if body is not None:
        orjson.dumps(body.content)
        json.dumps(body.content, allow_nan=False).encode()
        assert not isinstance(body.content, float) or math.isfinite(body.content)

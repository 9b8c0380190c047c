"""Header fields as one flat map."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.event.headers import flat_headers, media_type, parameters


def test_repeated_fields_are_joined():
    """A12: one of two Set-Cookie was lost."""
    headers = [
        (b"set-cookie", b"a=1; Path=/"),
        (b"x", b"1"),
        (b"Set-Cookie", b"b=2"),
        (b"cookie", b"c"),
        (b"cookie", b"d"),
    ]
    assert flat_headers(headers) == {"set-cookie": "a=1; Path=/, b=2", "x": "1", "cookie": "c; d"}


def test_names_are_lower_case_and_values_latin_1():
    assert flat_headers([[b"X-Name", b"\xe9"]]) == {"x-name": "é"}


@pytest.mark.parametrize(
    "headers", [[("a", "b")], [(b"a",)], [b"ab"], [(b"a", None)], [1], [(b"a", b"b", b"c")]]
)
def test_what_is_no_pair_of_bytes_is_a_value_error(headers):
    with pytest.raises(ValueError, match="pairs of bytes"):
        flat_headers(headers)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Text/Plain", ("text/plain", {})),
        ("a/b; Charset=UTF-8;x = y", ("a/b", {"charset": "UTF-8", "x": "y"})),
        ('a/b; n="x\\"; y"; n=2', ("a/b", {"n": 'x"; y'})),
        ("", ("", {})),
        ("a/b" + " " * 2000 + ";x=1", ("a/b", {})),
        (";=;;;=", ("", {})),
        ("a/b; n=a b ; x= ;", ("a/b", {"n": "a b", "x": ""})),
        (r'a/b; n="C:\a\\b"', ("a/b", {"n": r"C:\a\b"})),
        ('a/b; n="half; x=1', ("a/b", {"x": "1"})),
    ],
)
def test_a_media_type_is_split_from_its_parameters(value, found):
    assert media_type(value) == found


@pytest.mark.parametrize("unit", [';a="', ';a="\\', "; ", ';a="\\"', " = "])
def test_a_long_value_takes_no_time(unit):
    started = time.process_time()
    media_type("a/b" + unit * 100_000)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", True),
        (' a=1 ; B="2;\\"" ;; ', True),
        ("a", False),
        ('a="1', False),
        ('a="1"2', False),
        ('a=1"', False),
        ("=1", False),
        (";a=1" * 9, True),
        (";a=1" * 11, False),
        ("a=" + "1" * 1022, True),
        ("a=" + "1" * 1023, False),
    ],
)
def test_parameters_are_whole_only_where_nothing_else_stands_between_them(text, whole):
    assert parameters(text)[1] is whole


@given(st.dictionaries(st.from_regex(r"[a-z*]{1,5}", fullmatch=True), st.text(max_size=8), max_size=9))
def test_quoted_values_come_out_as_they_went_in(values):
    quoted = {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in values.items()}
    written = ";".join(f'{name}="{value}"' for name, value in quoted.items())
    if len(written) <= 1024:
        assert parameters(written) == (values, True)


@given(st.lists(st.tuples(st.binary(max_size=5), st.binary(max_size=5))))
def test_no_value_is_lost(headers):
    flat = flat_headers(headers)
    for name, value in headers:
        assert value.decode("latin-1") in flat[name.lower().decode("latin-1")]

"""Forms: fields by name, repeated ones in lists, files without their content."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.event.body import stored_body
from moesifasgi.event.form import MAX_FIELDS, multipart_fields, urlencoded_fields

PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
FILE = (
    b'--b\r\ncontent-disposition: form-data; name="f"; filename="a \\"b\\".png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n\r\n\xff\r\n"
)


def test_repeated_fields_of_a_urlencoded_form_become_a_list():
    """A12: only the last of repeated fields was kept."""
    assert urlencoded_fields(b"a=1&b=x+y&a=2&c=&d=%C3%A9") == {"a": ["1", "2"], "b": "x y", "c": "", "d": "é"}


def test_repeated_fields_of_a_multipart_form_become_a_list():
    """A12: only the last of repeated fields was kept, and multipart broke the application's receive."""
    body = PART % (b"a", b"1") + PART % (b"a", b"2\r\n3") + PART % (b"b", b"") + b"--b--\r\n"
    assert multipart_fields(body, "b") == {"a": ["1", "2\r\n3"], "b": ""}


def test_a_file_is_described_without_its_content():
    described = {"filename": 'a "b".png', "content_type": "image/png", "size": 9}
    assert multipart_fields(b"preamble\r\n" + FILE + b"--b--", "b") == {"f": described}


@pytest.mark.parametrize(
    ("parameters", "filename"),
    [
        ("filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
        ("filename*=iso-8859-1'en'%A3.txt", "£.txt"),
        ("filename=\"a.txt\"; filename*=UTF-8''%C3%A4.txt", "ä.txt"),
        ("filename*=UTF-8''%FF", "\ufffd"),
        ("filename*0=a; filename*1=b", ""),
        ('filename=""', ""),
        ("filename=", ""),
        ("filename=a b.txt", "a b.txt"),
        ('filename="%s.txt"' % ("a" * 1100), ""),
        ('filename="a.txt', ""),
        ('filename="a.txt"x', ""),
        ('\r\n filename="a.txt"', "a.txt"),
        ("x\r\nContent-Disposition: form-data; filename=a.txt", "a.txt"),
        (r'filename="C:\dir\a.txt"', r"C:\dir\a.txt"),
        (r'filename="C:\\dir\\a \"b\".txt"', r'C:\dir\a "b".txt'),
        (r'filename="C:\dir\"', ""),
    ],
)
def test_a_file_is_known_by_any_form_of_its_name(parameters, filename):
    """Its whole content was stored as the text of a field."""
    head = f"--b\r\nContent-Disposition: form-data; name*=UTF-8''%C3%A9; {parameters}\r\n\r\nx\r\n--b--"
    described = {"filename": filename, "content_type": "application/octet-stream", "size": 1}
    assert multipart_fields(head.encode(), "b") == {"é": described}


@pytest.mark.parametrize("name", ["filename", "x; filename=a.txt"])
def test_a_field_may_have_what_looks_like_a_file_in_its_name(name):
    assert multipart_fields(PART % (name.encode(), b"1") + b"--b--", "b") == {name: "1"}


def with_more_headers(count: int) -> bytes:
    head, content = (PART % (b"a", b"1")).split(b"\r\n\r\n")
    return head + b"\r\na: b" * count + b"\r\n\r\n" + content + b"--b--"


def test_a_part_of_endless_headers_is_no_form():
    """200,000 of them took 45 ms, of the worker's event loop where a mask is set."""
    assert multipart_fields(with_more_headers(9), "b") == {"a": "1"}
    with pytest.raises(ValueError, match="headers"):
        multipart_fields(with_more_headers(10), "b")


def test_a_field_without_a_value_is_empty():
    assert urlencoded_fields(b"a&b=1&") == {"a": "", "b": "1"}


@pytest.mark.parametrize(
    ("raw", "charset", "value"),
    [
        (b"n=%E4+\xe4", "ISO_8859-1", "ä ä"),
        (b"n=%80", "cp1252", "€"),
        (b"n=%C3%A4", "utf-8", "ä"),
        (b"n=%E4", "idna", "\ufffd"),
        (b"n=%81", "cp1252", "\ufffd"),
    ],
)
def test_a_form_is_read_in_the_charset_that_it_is_declared_in(raw, charset, value):
    body = stored_body(raw, {"content-type": f"application/x-www-form-urlencoded; charset={charset}"})
    assert body is not None
    assert body.content == {"n": value}


def test_a_form_body_is_stored_as_json_with_its_fields():
    body = stored_body(b"a=1", {"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"})
    assert body is not None
    assert (body.content, body.transfer_encoding) == ({"a": "1"}, "json")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"password":"s"}\n{"password":"s"}',
        b'{"password":"a=b",}',
        b"%7B%22password%22%3A%22s%22%7D=",
        b"<user><password>s</password></user>",
        b'<user id="1"><password>s</password></user>',
        b"secret",
        b"a&b&&c",
        b"a\nb=1",
    ],
)
def test_what_is_declared_a_form_and_is_none_is_stored_whole(raw):
    """The names of its fields would hold what a mask is for."""
    body = stored_body(raw, {"content-type": "application/x-www-form-urlencoded"})
    assert body is not None
    assert body.transfer_encoding == "base64"
    assert base64.b64decode(body.content) == raw


def test_a_form_may_have_brackets_in_names_and_anything_in_values():
    assert urlencoded_fields(b"a[b][]=%7B%22x%22%3A1%7D&c=<\n&&d=&") == {
        "a[b][]": '{"x":1}',
        "c": "<\n",
        "d": "",
    }


def test_a_multipart_body_is_stored_as_json_with_its_fields():
    raw = PART % (b"a", b"1") + b"--b--\r\n"
    body = stored_body(raw, {"content-type": 'multipart/form-data; boundary="b"'})
    assert body is not None
    assert (body.content, body.transfer_encoding) == ({"a": "1"}, "json")


@pytest.mark.parametrize(
    "raw",
    [
        b"nothing",
        PART % (b"a", b"1"),
        b"--b\r\n\r\nno disposition\r\n--b--",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--b--",
        b"--b\r\nContent-Disposition: form-data; name=a\r\n--b--",
        b"--bc\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--",
        (PART % (b"a", b"1")) * (MAX_FIELDS + 1) + b"--b--",
    ],
    ids=[
        "no form",
        "no end",
        "no disposition",
        "no name",
        "no content",
        "a longer boundary",
        "too many fields",
    ],
)
def test_a_multipart_form_that_keeps_to_no_format_is_stored_whole(raw):
    body = stored_body(raw, {"content-type": "multipart/form-data; boundary=b"})
    assert body is not None
    assert base64.b64decode(body.content) == raw


def test_as_many_fields_as_are_allowed_are_read():
    assert len(multipart_fields((PART % (b"a", b"1")) * MAX_FIELDS + b"--b--", "b")["a"]) == MAX_FIELDS


@pytest.mark.parametrize("boundary", ["", "x" * 71])
def test_a_multipart_form_needs_a_sane_boundary(boundary):
    with pytest.raises(ValueError, match="70 characters"):
        multipart_fields(b"--%b--" % boundary.encode(), boundary)
    assert (
        multipart_fields(b"--%b--" % boundary[:70].rjust(1, "x").encode(), boundary[:70].rjust(1, "x")) == {}
    )


def test_more_fields_than_any_form_parser_accepts_are_refused():
    with pytest.raises(ValueError):
        urlencoded_fields(b"a=1&" * (MAX_FIELDS + 1))


@given(
    st.lists(
        st.sampled_from([b"--b", b"\r\n", b"--", b"a", b'content-disposition: form-data; name="a"', b"\xff"])
    )
)
def test_any_multipart_body_gives_fields_or_a_value_error(pieces):
    try:
        fields = multipart_fields(b"".join(pieces), "b")
    except ValueError:
        return
    assert all(isinstance(name, str) for name in fields)

"""The URI as the client saw it, whatever the server makes of it."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.event.uri import request_uri


def test_the_uri_has_scheme_host_path_and_query(record):
    assert request_uri(record, "api.example.com") == "https://api.example.com/items/%C3%A4%20b?page=1&q=a+b"


@pytest.mark.parametrize(
    "host", ["a", "a.example:8080", "[::1]", "[2001:db8::1]:80", "under_score.internal", "a.b.", "a:65535"]
)
def test_a_sane_host_header_is_the_host(record, host):
    assert request_uri(record._replace(query_string=b"", raw_path=b"/"), host) == f"https://{host}/"


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "a b",
        "a/b",
        "a@b",
        "a, b",
        "evil?x",
        "a:",
        "a:x",
        "é",
        "a\n",
        "x" * 300,
        "[::::]",
        "[1.2.3.4]",
        "a:99999",
        ".",
        "a..b",
    ],
)
def test_any_other_host_header_is_not(record, host):
    assert request_uri(record, host).startswith("https://127.0.0.1:8000/items/")


@pytest.mark.parametrize(
    ("scheme", "server", "start"),
    [
        ("http", ("10.0.0.1", 80), "http://10.0.0.1/x"),
        ("http", ("10.0.0.1", 443), "http://10.0.0.1:443/x"),
        ("https", ("::1", 443), "https://[::1]/x"),
        ("https", ["::1", 8443], "https://[::1]:8443/x"),
        ("http", ("/run/app.sock", None), "http://localhost/x"),
        ("http", None, "http://localhost/x"),
        ("gopher://x", None, "http://localhost/x"),
    ],
)
def test_without_a_host_header_the_server_is_the_host(record, scheme, server, start):
    bare = record._replace(scheme=scheme, server=server, raw_path=b"/x", query_string=b"")
    assert request_uri(bare, None) == start


@pytest.mark.parametrize(
    ("root_path", "raw_path", "path"),
    [
        ("", b"/x", "/x"),
        ("/api", b"/api/x", "/api/x"),
        ("/api/", b"/x", "/api/x"),
        ("api", b"/api", "/api"),
        ("/api", b"/apis/x", "/api/apis/x"),
        ("/ä", b"/%C3%A4/x", "/%C3%A4/x"),
        ("/ann@x.com", b"/ann%40x.com/orders", "/ann%40x.com/orders"),
        ("/a+b", b"/a%2Bb/orders", "/a%2Bb/orders"),
        ("/ä", b"/%c3%a4/orders", "/%c3%a4/orders"),
        ("/v1", b"/v%31", "/v%31"),
        ("/v1", b"/v%312/x", "/v1/v%312/x"),
        ("/a%20b", b"/a%20b/x", "/a%20b/x"),
        ("/a%41", b"/a%2541/x", "/a%2541/x"),
        ("", b"", "/"),
        ("", b"*", "/*"),
        ("", b"http://other.example/x?q", "/x"),
        ("", b"/x?page=1", "/x"),
        ("", b"//x", "//x"),
        ("", b'/a b"<>\\^`{|}#\xff\x00%zz', "/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D%23%FF%00%zz"),
    ],
)
def test_the_path_is_whole_and_has_the_root_path_once(record, root_path, raw_path, path):
    changed = record._replace(root_path=root_path, raw_path=raw_path, query_string=b"")
    assert request_uri(changed, "h") == f"https://h{path}"


def test_a_query_keeps_what_queries_hold_and_quotes_the_rest(record):
    changed = record._replace(raw_path=b"/", query_string=b'a[]=1|2&b=?%20&c="#\xff')
    assert request_uri(changed, "h") == "https://h/?a[]=1|2&b=?%20&c=%22%23%FF"


def test_a_path_without_its_raw_form_is_quoted(record):
    changed = record._replace(raw_path=None, path="/100%/ä\ud800?#", query_string=b"")
    assert request_uri(changed, "h") == "https://h/100%25/%C3%A4%3F%3F%23"


@given(
    st.binary(max_size=20) | st.none(),
    st.text(max_size=20),
    st.text(max_size=10),
    st.binary(max_size=20),
    st.text(max_size=20) | st.none(),
)
def test_any_request_has_an_absolute_ascii_uri(record, raw_path, path, root_path, query, host):
    changed = record._replace(raw_path=raw_path, path=path, root_path=root_path, query_string=query)
    uri = request_uri(changed, host)
    parts = urlsplit(uri)
    assert uri.isascii()
    assert uri.isprintable()
    assert (parts.scheme, parts.fragment) == ("https", "")
    assert parts.hostname
    assert parts.path.startswith("/")

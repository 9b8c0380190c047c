"""The recorded traffic: requests, each with a name that its event is found by."""

import gzip

from differential.call import Call, basic, jwt, posted, quarantined, with_headers
from differential.facts import BROTLI_JSON

MULTIPART = (
    b'--frontier\r\nContent-Disposition: form-data; name="kind"\r\n\r\na\r\n'
    b'--frontier\r\nContent-Disposition: form-data; name="kind"\r\n\r\nb\r\n'
    b'--frontier\r\nContent-Disposition: form-data; name="upload"; filename="lamp.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\xff\r\n--frontier--\r\n"
)
_JSON = "application/json"
_OBJECT = b'{"id": 7, "ok": true, "price": 1.5, "tags": ["a"], "none": null}'
_VERBS = ("POST", "PUT", "PATCH", "DELETE", "REPORT")

VERBS = [
    *(Call(f"verb-{verb}", verb, body=b'{"a": 1}', headers=(("content-type", _JSON),)) for verb in _VERBS),
    *(Call(f"verb-{verb}", verb) for verb in ("GET", "HEAD", "OPTIONS", "TRACE")),
]
REQUEST_BODIES = [
    posted("json-object", _JSON, _OBJECT),
    posted("json-list", _JSON, b'[1, "two", {"three": 3}]'),
    posted("json-empty-object", _JSON, b"{}"),
    posted("json-empty-list", _JSON, b"[]"),
    posted("json-string", _JSON, b'"text"'),
    posted("json-number", _JSON, b"42"),
    posted("json-null", _JSON, b"null"),
    posted("json-invalid", _JSON, b'{"a": '),
    posted("json-empty", _JSON, b""),
    posted("json-padded", _JSON, b' \r\n\t{"a": 1}'),
    posted("json-trailing-space", _JSON, b'{"a": 1}\n'),
    posted("json-utf8", f"{_JSON}; charset=utf-8", '{"name": "Grüße 🙂"}'.encode()),
    posted("json-latin1", f"{_JSON}; charset=iso-8859-1", '{"name": "Grüße"}'.encode("latin-1")),
    posted("json-utf16", f"{_JSON}; charset=utf-16", '{"a": 1}'.encode("utf-16")),
    posted("json-bom", _JSON, b'\xef\xbb\xbf{"a": 1}'),
    posted("json-big-number", _JSON, b'{"id": 123456789012345678901234567890}'),
    posted("json-repeated-key", _JSON, b'{"a": 1, "a": 2}'),
    posted("json-deep", _JSON, b"[" * 200 + b"]" * 200),
    posted("json-vendor", "application/vnd.shop.v1+json", b'{"a": 1}'),
    posted("json-as-text", "text/plain", b'{"a": 1}'),
    posted("json-undeclared", None, b'{"a": 1}'),
    posted("json-large", _JSON, b'{"text": "' + b"x" * 150_000 + b'"}'),
    Call(
        "json-chunked",
        "POST",
        headers=(("content-type", _JSON), ("transfer-encoding", "chunked")),
        body=b'4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n',
    ),
    posted("text", "text/plain; charset=utf-8", b"plain text"),
    posted("binary", "application/octet-stream", bytes(range(32))),
    posted("form", "application/x-www-form-urlencoded", b"a=1&b=x%20y+z"),
    posted("form-repeated", "application/x-www-form-urlencoded", b"a=1&a=2&empty="),
    Call(
        "multipart",
        "POST",
        "/form",
        (("content-type", "multipart/form-data; boundary=frontier"),),
        MULTIPART,
    ),
    posted("multipart-damaged", "multipart/form-data; boundary=frontier", b"--frontier\r\nno form"),
    posted("gzip-json", _JSON, gzip.compress(b'{"c": 1}', mtime=0), ("content-encoding", "gzip")),
    posted("gzip-text", "text/plain", gzip.compress(b"text", mtime=0), ("content-encoding", "gzip")),
    posted("gzip-none", _JSON, b'{"c": 1}', ("content-encoding", "gzip")),
    posted("br-json", _JSON, BROTLI_JSON, ("content-encoding", "br")),
    posted("coding-unknown", _JSON, b'{"c": 1}', ("content-encoding", "rot13")),
    Call("unread", "POST", "/unread", (("content-type", _JSON),), b'{"a": 1}'),
]
TARGETS = [
    Call("query", target="/echo?a=1&b=two%20words&c=%C3%A9&flag&a=2"),
    Call("query-brackets", target="/echo?filter[name]=x&q=a|b"),
    Call("query-empty", target="/echo?"),
    Call("path-unicode", target="/echo/Gr%C3%BC%C3%9Fe"),
    Call("path-encoded", target="/echo/a%2Fb%3Fd"),
    Call("path-space", target="/echo/a%20b"),
    Call("path-encoded-plain", target="/echo/%61bc"),
    Call("path-slashes", target="/echo//a/../b"),
    Call("path-plus", target="/echo/a+b:c@d"),
    Call("mounted", target="/mounted/inner/lamp?a=1"),
    Call("missing", target="/no-such-path"),
    with_headers("host-with-port", ("host", "shop.example.com:8443")),
    with_headers("host-ipv6", ("host", "[2001:db8::1]:8000")),
    with_headers("host-garbage", ("host", "a b<c>")),
    with_headers("host-with-path", ("host", "shop.example.com/admin?x=")),
    with_headers("forwarded-proto", ("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example.com")),
]
HEADERS = [
    with_headers("headers-case", ("X-Mixed-Case", "Value"), ("Accept", "*/*")),
    with_headers("headers-repeated", ("x-tag", "a"), ("x-tag", "b")),
    with_headers("headers-cookies", ("cookie", "a=1"), ("cookie", "b=2")),
    with_headers("headers-empty", ("x-empty", "")),
    with_headers("headers-latin1", ("x-name", "Gr\xfc\xdfe")),
    with_headers("headers-own-id", ("x-moesif-transaction-id", "00000000-0000-4000-8000-000000000000")),
    with_headers("headers-own-garbage-id", ("x-moesif-transaction-id", "not an id")),
]
IDENTITIES = [
    with_headers("bearer", ("authorization", f"Bearer {jwt({'sub': 'ada'})}")),
    with_headers("bearer-padded", ("authorization", f"Bearer {jwt({'sub': 'adaa'}, padded=True)}")),
    with_headers("bearer-urlsafe", ("authorization", f"Bearer {jwt({'sub': 'ada', 'x': '?>?>??>>~~~'})}")),
    with_headers("bearer-number", ("authorization", f"Bearer {jwt({'sub': 12})}")),
    with_headers("bearer-case", ("authorization", f"Bearer {jwt({'SUB': 'ada'})}")),
    with_headers("bearer-lower", ("authorization", f"bearer {jwt({'sub': 'ada'})}")),
    with_headers("bearer-no-sub", ("authorization", f"Bearer {jwt({'name': 'ada'})}")),
    with_headers("bearer-list", ("authorization", f"Bearer {jwt({'sub': ['ada', 'bob']})}")),
    with_headers("bearer-null", ("authorization", f"Bearer {jwt({'sub': None})}")),
    with_headers("bearer-true", ("authorization", f"Bearer {jwt({'sub': True})}")),
    with_headers("bearer-unsigned", ("authorization", f"Bearer {jwt({'sub': 'ada'}).rpartition('.')[0]}")),
    with_headers("bearer-garbage", ("authorization", "Bearer abc")),
    with_headers("bearer-two", ("authorization", f"Bearer {jwt({'sub': 'ada'})}, Basic eDp5")),
    with_headers("basic", ("authorization", basic("ada", "se:cret"))),
    with_headers("basic-unpadded", ("authorization", basic("adaa", "secret").rstrip("="))),
    with_headers("basic-garbage", ("authorization", "Basic !!!")),
    with_headers("raw-key", ("authorization", "sk_live_0123456789")),
    with_headers("bare-jwt", ("authorization", jwt({"sub": "ada"}))),
    with_headers("token-first", ("x-token", jwt({"user_id": "ada"})), profile="tokens"),
    with_headers("token-second", ("authorization", f"Bearer {jwt({'User_ID': 'bob'})}"), profile="tokens"),
    with_headers(
        "token-useless-then-bearer",
        ("x-token", "opaque"),
        ("authorization", f"Bearer {jwt({'user_id': 'bob'})}"),
        profile="tokens",
    ),
    with_headers("dotted", ("authorization", f"Bearer {jwt({'user': {'id': 'ada'}})}"), profile="dotted"),
    with_headers("dotted-name", ("authorization", f"Bearer {jwt({'user.id': 'ada'})}"), profile="dotted"),
]
_IP_HEADERS = (
    "x-client-ip",
    "x-forwarded-for",
    "cf-connecting-ip",
    "true-client-ip",
    "x-real-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "forwarded-for",
    "forwarded",
)
ADDRESSES = [
    *(with_headers(f"ip-{name}", (name, "203.0.113.7")) for name in _IP_HEADERS),
    with_headers("ip-order", ("x-forwarded-for", "203.0.113.7"), ("x-client-ip", "203.0.113.8")),
    with_headers("ip-list", ("x-forwarded-for", "203.0.113.7, 10.0.0.1")),
    with_headers("ip-unknown-first", ("x-forwarded-for", "unknown, 203.0.113.7")),
    with_headers("ip-port", ("x-forwarded-for", "203.0.113.7:4711")),
    with_headers("ip-client-port", ("x-client-ip", "203.0.113.7:4711")),
    with_headers("ip-lines", ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "203.0.113.8")),
    with_headers("ip6", ("x-forwarded-for", "2001:db8::1")),
    with_headers("ip6-long", ("x-forwarded-for", "2001:0DB8:0000::0001")),
    with_headers("ip6-brackets", ("x-forwarded-for", "[2001:db8::1]")),
    with_headers("ip6-port", ("x-forwarded-for", "[2001:db8::1]:4711")),
    with_headers("ip6-zone", ("x-real-ip", "fe80::1%eth0")),
    with_headers("ip6-mapped", ("x-real-ip", "::ffff:203.0.113.7")),
    with_headers("ip-rfc7239", ("forwarded", "for=203.0.113.7;proto=https, for=10.0.0.1")),
    with_headers("ip6-rfc7239", ("forwarded", 'for="[2001:db8::1]:4711"')),
    with_headers("ip-evil-real", ("x-real-ip", "evil")),
    with_headers("ip-garbage", ("x-forwarded-for", "not an address")),
    quarantined(with_headers("ip-evil", ("x-forwarded-for", "evil"))),
    Call("ip-none", over_unix=True),
]
RESPONSES = [
    *(
        Call(f"answer-{name}", target=f"/body/{name}")
        for name in (
            "object",
            "list",
            "empty-object",
            "string",
            "number",
            "null",
            "padded",
            "utf8",
            "latin1",
            "vendor",
            "as-text",
            "undeclared",
            "invalid",
            "big-number",
            "text",
            "xml",
            "binary",
            "form",
            "large",
            "multipart",
        )
    ),
    *(Call(f"answer-{name}", target=f"/coded/{name}") for name in ("gzip-json", "gzip-text", "br-json")),
    *(Call(f"status-{code}", target=f"/status/{code}") for code in (201, 204, 304, 401, 418, 503)),
    Call("validated", target="/validated?limit=x"),
    Call("html", target="/html"),
    Call("redirect", target="/redirect"),
    Call("cookies", target="/cookies"),
    Call("head-body", "HEAD", "/echo?a=1"),
    Call("method-not-allowed", "DELETE", "/html"),
    *(Call(f"stream-{kind}", target=f"/stream/{kind}") for kind in ("numbers", "slow", "sse")),
]
ENDINGS = [
    Call("raises", target="/raise"),
    Call("raises-midway", target="/stream/broken"),
    Call("client-leaves", target="/stream/endless", leaves=True),
    Call("overlapped", target="/overlap/first", meanwhile=Call("overlapping", target="/overlap/second")),
]
HOOKS = [
    with_headers("hook-user", ("x-say-user", "ada"), profile="hooks"),
    with_headers(
        "hook-user-and-token",
        ("x-say-user", "ada"),
        ("authorization", basic("bob", "secret")),
        profile="hooks",
    ),
    with_headers("hook-nobody-and-token", ("authorization", basic("bob", "secret")), profile="hooks"),
    with_headers("hook-number", ("x-say-user", "12"), profile="hooks"),
    with_headers("hook-raises", ("x-say-user", "raise"), profile="hooks"),
    with_headers(
        "hook-raises-and-token",
        ("x-say-user", "raise"),
        ("authorization", basic("bob", "secret")),
        profile="hooks",
    ),
    with_headers("hook-company", ("x-say-company", "acme"), ("x-say-session", "s-1"), profile="hooks"),
    with_headers("hook-metadata", ("x-say-metadata", "status"), profile="hooks"),
    quarantined(with_headers("hook-metadata-date", ("x-say-metadata", "date"), profile="hooks")),
    Call("hook-skip", headers=(("x-say-skip", "yes"),), profile="hooks", skipped=True),
    with_headers("hook-empty", ("x-say-user", ""), ("x-say-company", ""), profile="hooks"),
]
SECRETS = b'{"user": "ada", "password": "hunter2"}'
_LOGIN = (("content-type", _JSON), ("x-secret", "s3cret"))
SETTINGS = [
    Call("mask", "POST", "/login", _LOGIN, SECRETS, "masked"),
    Call("mask-empty", profile="masked"),
    Call("mask-request", "POST", "/login", _LOGIN, SECRETS, "masked-request"),
    Call("mask-in-place", "POST", "/login", _LOGIN, SECRETS, "masked-in-place"),
    Call("bodiless", "POST", headers=(("content-type", _JSON),), body=b'{"a": 1}', profile="bodiless"),
    Call("no-id", profile="no-id"),
    Call("api-version", profile="tokens"),
]
POISON = [
    quarantined(posted("json-surrogate", _JSON, rb'{"name": "\ud800"}')),
    quarantined(posted("json-nan", _JSON, b'{"a": NaN, "b": Infinity}')),
]
TRAFFIC: list[Call] = [
    *VERBS,
    *REQUEST_BODIES,
    *TARGETS,
    *HEADERS,
    *IDENTITIES,
    *ADDRESSES,
    *RESPONSES,
    *ENDINGS,
    *HOOKS,
    *SETTINGS,
    *POISON,
]
"""In the order in which it was recorded."""

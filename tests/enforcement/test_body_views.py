"""A rule sees of a body what the application may see of it, whatever the client says of it in headers."""

import asyncio
import gzip
import json
import time
import zlib
from typing import Any

import pytest
from lab.one_request import OneRequest, parts, scope
from lab.one_worker import asked
from lab.rules import blocking
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from moesifasgi.enforcement.body import MAX_FIELDS, MAX_PART_HEAD_BYTES, body_value

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
DELETE = b'{"op": "delete"'
PART = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
COSTLY_MS = 100.0
"""Ten times what 100 kB may take: tests share their processors."""


@pytest.fixture
def app(worker, push):
    """What Starlette's own readers find under ``op`` of a request that passes."""

    async def op(request: Any) -> PlainTextResponse:
        if "form" in request.headers.get("content-type", ""):
            return PlainTextResponse(",".join(map(str, (await request.form()).getlist("op"))))
        found = await request.json()
        found = found[0] if isinstance(found, list) else found
        return PlainTextResponse(str(found.get("op")))

    made = worker.wrap(Starlette(routes=[Route("/", op, methods=["POST"])]), MAX_BODY_SIZE=200_000)
    push(rules=[blocking("r1", ("request.body.op", "^delete$"))])
    return made


@pytest.mark.parametrize("coding", ["x", "gzip", "deflate", "gzip, gzip, gzip", "identity"])
@pytest.mark.parametrize(
    ("body", "kind"), [(DELETE + b"}", JSON), (b"op=delete", FORM)], ids=["JSON", "form"]
)
def test_a_coding_that_is_only_said_hides_nothing(app, body, kind, coding):
    headers = {"content-type": kind, "content-encoding": coding}
    assert asked(app, "POST", "/", content=body, headers=headers).status_code == 403
    harmless = body.replace(b"delete", b"read")
    assert asked(app, "POST", "/", content=harmless, headers=headers).text == "read"


@pytest.mark.parametrize(
    ("body", "kind"),
    [(DELETE + b"}", JSON), (b"op=delete", FORM), (PART % (b"op", b"delete") + b"--b--", MULTIPART)],
    ids=["JSON", "form", "multipart"],
)
def test_a_body_in_a_coding_is_seen_behind_it(body, kind):
    found = body_value(gzip.compress(body), {"content-encoding": "gzip"}, kind)
    assert {"op": "delete"} in (found if isinstance(found, list) else [found])


@pytest.mark.parametrize(
    "rest",
    [
        b',"x":"\xed\xa0\x80"}',
        b',"x":"\\ud800"}',
        b',"x":' + b"[" * 120 + b"]" * 120 + b"}",
        b',"x":"' + b"," * 8_001 + b'"}',
        b',"x":[' + b"1," * 20_000 + b"1]}",
        b',"x":NaN,"y":1e999}',
    ],
    ids=["surrogate", "escaped surrogate", "deep", "commas", "values", "no numbers"],
)
@pytest.mark.parametrize("kind", [JSON, "text/plain", "application/graphql", "a/b; " + "x" * 2_000])
def test_json_is_seen_wherever_the_application_can_read_it(app, rest, kind):
    headers = {"content-type": kind}
    assert asked(app, "POST", "/", content=DELETE + rest, headers=headers).status_code == 403
    harmless = DELETE.replace(b"delete", b"read") + rest
    assert asked(app, "POST", "/", content=harmless, headers=headers).text == "read"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_is_seen_in_each_of_its_encodings(app, encoding):
    body = (DELETE + b"}").decode().encode(encoding)
    assert asked(app, "POST", "/", content=body, headers={"content-type": JSON}).status_code == 403


def test_an_integer_that_python_refuses_hides_nothing():
    body = DELETE + b',"x":' + b"1" * 5_000 + b',"y":"' + b"," * 10_000 + b'"}'
    found = body_value(body, {}, JSON)
    assert isinstance(found, dict)
    assert found["op"] == "delete"


def test_each_object_of_an_array_is_seen(app):
    body = json.dumps([{"op": "read"}, 7, {"op": "delete"}])
    assert asked(app, "POST", "/", content=body).status_code == 403
    assert asked(app, "POST", "/", content=json.dumps([{"op": "read"}])).text == "read"


@pytest.mark.parametrize(
    "body",
    [
        b"op=read&op=delete",
        b"op=delete&op=read",
        b"op=read;op=delete",
        b"o%70=d%65lete",
        b"op=delete&nameless&{=1",
        b"op=delete" + b"".join(b"&a%d=1" % n for n in range(900)),
        b"\xff=1&op=delete",
        b'{"x": "&op=delete&"}',
    ],
    ids=["last", "first", "semicolon", "escaped", "no form to the event", "many", "no UTF-8", "JSON as well"],
)
def test_a_field_of_a_form_is_seen_wherever_it_stands(app, body):
    assert asked(app, "POST", "/", content=body, headers={"content-type": FORM}).status_code == 403
    assert asked(
        app, "POST", "/", content=body.replace(b"ete", b"xyz"), headers={"content-type": FORM}
    ).is_success


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PART % (b"op", b"read") + PART % (b"op", b"delete") + b"--b--\r\n", MULTIPART),
        (PART % (b"op", b"delete") + b"--b\r\n", MULTIPART),
        (PART % (b"op", b"delete") + b"--b--\r\n", "multipart/form-data; x=" + "x" * 1_100 + "; boundary=b"),
        (PART % (b'x"; name="op', b"delete") + b"--b--\r\n", MULTIPART),
        (PART % (b"op", b"delete") + b"--b--\r\n", "multipart/form-data; boundary=a; boundary=b"),
        ((PART % (b"op", b"delete") + b"--b--\r\n").replace(b"--b", b"--" + b"b" * 90), MULTIPART + "b" * 89),
        (PART % (b"x", b"1") * 900 + PART % (b"op", b"delete") + b"--b--\r\n", MULTIPART),
    ],
    ids=["repeated", "no end", "long type", "two names", "two boundaries", "long boundary", "many"],
)
def test_a_part_of_a_multipart_form_is_seen_wherever_it_stands(app, body, kind):
    assert asked(app, "POST", "/", content=body, headers={"content-type": kind}).status_code == 403
    assert asked(
        app, "POST", "/", content=body.replace(b"ete", b"xyz"), headers={"content-type": kind}
    ).is_success


def test_a_file_is_described_and_not_looked_into():
    disposition = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n'
    body = disposition + b"Content-Type: text/plain\r\n\r\nabc\r\n--b--\r\n"
    found = body_value(body, {}, MULTIPART)
    assert found == {"f": {"filename": "a.txt", "content_type": "text/plain", "size": 3}}


def test_a_part_whose_headers_no_parser_takes_is_not_searched_for_names():
    head = b"--b\r\nA: " + b"x" * MAX_PART_HEAD_BYTES + b'; name="op"\r\n\r\ndelete\r\n--b--\r\n'
    assert body_value(head, {}, MULTIPART) == {}


def test_json_in_the_character_set_that_it_is_declared_in_is_seen():
    kind = JSON + "; charset=iso-8859-1"
    found = body_value(DELETE + b',"x":"\xe9"}', {"content-type": kind}, kind)
    assert found == {"op": "delete", "x": "é"}


def test_the_first_content_type_counts_as_for_applications(app):
    server = OneRequest(*parts(b"op=delete"))
    headers = [(b"content-type", FORM.encode()), (b"Content-Type", b"a/b")]
    asyncio.run(app(scope(method="POST", headers=headers), server.receive, server.send))
    assert server.sent[0]["status"] == 403


def test_a_type_with_a_list_behind_it_is_what_it_begins_with(app):
    headers = {"content-type": FORM + "; a=1, x/y"}
    assert asked(app, "POST", "/", content=b"op=delete", headers=headers).status_code == 403


FIELDS = "".join(f"%4{number:x}&" for number in range(16_000)).encode()[:100_000]
HOSTILE: dict[str, tuple[bytes, str, str]] = {
    "integers": (b"[" + b"1," * 49_999 + b"1]", JSON, ""),
    "objects": (b"[" + b"{}," * 33_332 + b"1]", JSON, ""),
    "brackets": (b"[" * 100_000, JSON, ""),
    "fields": (FIELDS, FORM, ""),
    "names": (b"--b\r\nA: x" + b'; name="' * 12_000, MULTIPART, ""),
    "parts": (PART % (b"a", b"") * 1_900, MULTIPART, ""),
    "boundaries": (b"x", "multipart/form-data" + '; boundary="' * 5_000, ""),
    "a bomb": (gzip.compress(bytes(50_000_000)), JSON, "gzip"),
    "a bomb of values": (zlib.compress(b"[" + b"{}," * 80_000 + b"1]"), JSON, "deflate"),
}


@pytest.mark.parametrize(("body", "kind", "coding"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_costs_little(body, kind, coding):
    headers = {"content-type": kind, "content-encoding": coding}
    took_s = []
    for _ in range(3):
        begun = time.perf_counter()
        body_value(body, headers, kind)
        took_s.append(time.perf_counter() - begun)
    assert min(took_s) * 1000 < COSTLY_MS


def test_of_a_form_no_more_fields_are_read_than_parsers_take():
    body = b"".join(b"a%d=1&" % number for number in range(MAX_FIELDS)) + b"op=delete"
    found = body_value(body, {}, FORM)
    assert isinstance(found, dict)
    assert "op" not in found
    assert len(found) == MAX_FIELDS

"""Bodies: JSON, forms, content codings, and what is not stored."""

import gzip
import json
import zlib
from base64 import b64decode
from typing import Any

import brotli
import zstandard

from recorded.case import LEFT_OUT, Call, Case, Headers, Receive, Section, Seen, Send, base64, posted
from recorded.forms import FORM, FORMS

JSON = ("Content-Type", "application/json")
DEEP = b"[" * 101 + b"]" * 101
LARGE = b"\x00\xff" * 400_000
AS_MUCH_AS_FITS = Seen(
    "as much of its beginning as fits, in base64",
    lambda value: len(value) > 400_000 and LARGE.startswith(b64decode(value)),
)
BOMB = gzip.compress(bytes(40_000_000))
LISTS = gzip.compress(b"[" + b"[]," * 333_000 + b"1]")
DAMAGED = gzip.compress(b'{"a": 1}')[:-4]
LONG = json.dumps({"text": "x" * 2000}).encode()


def coded(name: str, coding: str, body: bytes) -> Case:
    example = f"`Content-Encoding: {coding}`"
    return posted(name, (JSON, ("Content-Encoding", coding)), body, {"a": 1}, example=example)


def answered(name: str, headers: Headers, body: bytes, stored: Any, **settings: Any) -> Case:
    call = Call(response_headers=headers, response_body=body, settings=settings)
    return Case(name, call, {"response.body": stored})


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


async def sends_a_file(scope: Any, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": "/srv/report.pdf"})


JSON_BODIES = Section(
    "JSON",
    "JSON is found by its content: the declared type matters only for a bare number or text.",
    (
        posted("an object", (JSON,), b'{"a": 1}', {"a": 1}),
        posted("a type of its own", (("Content-Type", "application/vnd.api+json"),), b"[1, 2]", [1, 2]),
        posted("JSON in text", (("Content-Type", "text/plain"),), b'{"a": 1}', {"a": 1}),
        posted("JSON without a type", (), b'{"a": 1}', {"a": 1}),
        posted("a bare value", (JSON,), b"12", 12),
        posted("a bare value in text", (("Content-Type", "text/plain"),), b"12", base64(b"12")),
        posted(
            "white space around it",
            (JSON,),
            b' \r\n\t{"a": 1}\n',
            {"a": 1},
            example='` \\r\\n\\t{"a": 1}\\n`',
        ),
        posted(
            "a byte order mark",
            (JSON,),
            b'\xef\xbb\xbf{"a": 1}',
            {"a": 1},
            example='UTF-8 BOM, then `{"a": 1}`',
        ),
        posted(
            "UTF-16", (JSON,), '{"a": "ä"}'.encode("utf-16"), {"a": "ä"}, example='`{"a": "ä"}` in UTF-16'
        ),
        posted(
            "UTF-32", (JSON,), '{"a": "ä"}'.encode("utf-32"), {"a": "ä"}, example='`{"a": "ä"}` in UTF-32'
        ),
        posted(
            "another charset",
            (("Content-Type", "application/json; charset=iso-8859-1"),),
            '{"a": "ä"}'.encode("latin-1"),
            {"a": "ä"},
            example='`{"a": "ä"}` in Latin-1, declared as such',
        ),
        posted("NaN and infinities", (JSON,), b"[NaN, -Infinity, 1e999]", [None, None, None]),
        posted("integers of 64 bits", (JSON,), b"[18446744073709551615]", [2**64 - 1]),
        posted("larger integers", (JSON,), b"[18446744073709551616]", ["18446744073709551616"]),
        posted("half of a surrogate pair", (JSON,), b'["\\ud83d"]', ["\ufffd"]),
        posted("a key twice", (JSON,), b'{"a": 1, "a": 2}', {"a": 2}),
        posted("deeper than 100 levels", (JSON,), DEEP, base64(DEEP), example="`[[[[…]]]]`, 101 levels"),
        posted("broken JSON", (JSON,), b'{"a": 1', base64(b'{"a": 1')),
        posted("lines of JSON", (JSON,), b"{}\n{}", base64(b"{}\n{}"), example="`{}\\n{}`"),
    ),
)
CODINGS = Section(
    "Compressed bodies",
    "They are undone up to 1 MB, whatever the ratio. `br` and `zstd` need the extra `moesifasgi[codings]`.",
    (
        coded("gzip", "gzip", gzip.compress(b'{"a": 1}')),
        coded("gzip with padding behind it", "x-gzip", gzip.compress(b'{"a": 1}') + bytes(8)),
        coded("deflate", "deflate", zlib.compress(b'{"a": 1}')),
        coded("deflate without its wrapper", "deflate", raw_deflate(b'{"a": 1}')),
        coded("brotli", "br", brotli.compress(b'{"a": 1}')),
        coded("zstd", "zstd", zstandard.compress(b'{"a": 1}')),
        coded("two of them", "gzip, br", brotli.compress(gzip.compress(b'{"a": 1}'))),
        posted(
            "a bomb",
            (("Content-Encoding", "gzip"),),
            BOMB,
            base64(BOMB),
            {"undecoded": "too_large"},
            "40 MB of zeros in 39 kB of gzip",
        ),
        posted(
            "more than 200,000 values",
            (JSON, ("Content-Encoding", "gzip")),
            LISTS,
            base64(LISTS),
            {"undecoded": "too_large"},
            "`[[],[],…]`, 1 MB in 3 kB of gzip",
        ),
        posted(
            "cut short on its way",
            (("Content-Encoding", "gzip"),),
            DAMAGED,
            base64(DAMAGED),
            {"undecoded": "damaged"},
            "gzip without its last bytes",
        ),
        posted(
            "an unknown coding",
            (("Content-Encoding", "aes128gcm"),),
            b"\x00\x01",
            base64(b"\x00\x01"),
            {"undecoded": "unknown"},
            "`Content-Encoding: aes128gcm`",
        ),
        posted(
            "nothing, compressed",
            (("Content-Encoding", "gzip"),),
            gzip.compress(b""),
            LEFT_OUT,
            example="`gzip` of nothing",
        ),
    ),
)
OTHERS = Section(
    "Other bodies, and bodies that are not stored",
    "What is none of the above is stored as its bytes. A cut is always marked.",
    (
        posted(
            "bytes",
            (("Content-Type", "image/png"),),
            b"\x89PNG\xff",
            base64(b"\x89PNG\xff"),
            example="`image/png`",
        ),
        posted("text", (("Content-Type", "text/html"),), b"<p>hi</p>", base64(b"<p>hi</p>")),
        posted("no body", (), b"", LEFT_OUT, example="empty"),
        posted(
            "longer than `MAX_BODY_SIZE`",
            (JSON,),
            LONG,
            base64(LONG[:1000], "the first 1000 bytes in base64"),
            {"cut_at_bytes": 1000, "size_bytes": len(LONG)},
            f"`MAX_BODY_SIZE` = `1000`, JSON of {len(LONG)} bytes",
            MAX_BODY_SIZE=1000,
        ),
        Case(
            "two bodies that are too much for one event (900 kB)",
            Call(body=LARGE, response_body=LARGE, settings={"MAX_BODY_SIZE": 1_000_000}),
            {
                "request.body": AS_MUCH_AS_FITS,
                "response.body": AS_MUCH_AS_FITS,
                "metadata.moesif.request_body.size_bytes": len(LARGE),
                "metadata.moesif.response_body.size_bytes": len(LARGE),
            },
            "`MAX_BODY_SIZE` = `1000000`, 800 kB of bytes each",
        ),
        posted("`LOG_BODY` off", (JSON,), b'{"a": 1}', LEFT_OUT, LOG_BODY=False),
        posted("request bodies only", (JSON,), b'{"a": 1}', {"a": 1}, LOG_BODY=False, LOG_REQUEST_BODY=True),
        answered("`LOG_RESPONSE_BODY` off", (JSON,), b'{"a": 1}', LEFT_OUT, LOG_RESPONSE_BODY=False),
        posted(
            "a type on the list",
            (JSON,),
            b'{"a": 1}',
            {"a": 1},
            LOG_CONTENT_TYPES=["application/json", "text/*"],
        ),
        posted(
            "a type that is not", (FORM,), b"a=1", LEFT_OUT, LOG_CONTENT_TYPES=["application/json", "text/*"]
        ),
        answered(
            "a type by its pattern",
            (("Content-Type", "text/csv"),),
            b"a,b",
            base64(b"a,b"),
            LOG_CONTENT_TYPES=["text/*"],
        ),
        answered("no type, with a list", (), b'{"a": 1}', LEFT_OUT, LOG_CONTENT_TYPES=["text/*"]),
        Case(
            "an answer to `HEAD`",
            Call(method="HEAD", response_body=b'{"a": 1}'),
            {"request.verb": "HEAD", "response.status": 200, "response.body": LEFT_OUT},
            "whatever body the application gives; no server sends it",
        ),
        Case(
            "a file that the server sends by itself",
            Call(application=sends_a_file),
            {"response.body": LEFT_OUT, "metadata.moesif.response_body": {"unseen": True}},
            "`http.response.pathsend`",
        ),
    ),
)
SECTIONS = (JSON_BODIES, FORMS, CODINGS, OTHERS)

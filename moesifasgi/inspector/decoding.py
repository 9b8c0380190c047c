"""The body of a request, undone from its encodings within a bound. Pure."""

import re
from typing import Any

import orjson

try:
    from isal import isal_zlib as inflate
except ImportError:  # isal has wheels for CPython only.
    import zlib as inflate  # type: ignore[no-redef]  # the same API under the same name

MAX_BODY_BYTES = 50_000_000
"""The collector's limit of one request, measured before compression."""
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_JSON_TYPE = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?', re.IGNORECASE)


class Refused(Exception):
    """The collector does not take this request; ``status`` is its HTTP status."""

    def __init__(self, status: int, reason: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.faults = faults


def check_content_type(content_type: str | None) -> None:
    """Refused (415) if it is said to be anything but JSON in UTF-8."""
    if not _JSON_TYPE.fullmatch((content_type or "").strip()):
        raise Refused(415, f"expected Content-Type application/json, got {content_type!r}")


def decompressed(body: bytes, encoding: str | None, max_bytes: int) -> bytes:
    """The body without its Content-Encoding. Refused: 413 over the limit, 415 unknown, 400 damaged."""
    coding = (encoding or "identity").strip().lower()
    if coding == "gzip":
        body = _inflated(body, _GZIP, max_bytes)
    elif coding == "deflate":
        body = _inflated(body, _ZLIB if _has_zlib_header(body) else _RAW_DEFLATE, max_bytes)
    elif coding != "identity":
        raise Refused(415, f"expected Content-Encoding gzip, deflate or none, got {encoding!r}")
    if len(body) > max_bytes:
        raise Refused(413, f"a body of more than {max_bytes} bytes before compression")
    return body


def parsed(body: bytes) -> Any:
    """The JSON value of a body. Refused (400) where it is none; NaN and lone surrogates are none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"expected JSON: {error}") from error


def _has_zlib_header(body: bytes) -> bool:
    # HTTP's "deflate" is zlib's format, but some clients send the raw stream under the same name.
    return len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _inflated(body: bytes, wbits: int, max_bytes: int) -> bytes:
    """What a compressed stream holds, or one byte more than ``max_bytes`` of it."""
    stream = inflate.decompressobj(wbits)
    try:
        inflated: bytes = stream.decompress(body, max_bytes + 1)
    except inflate.error as error:  # type: ignore[misc]  # isal declares an instance where the class is
        raise Refused(400, f"the compressed body is damaged: {error}") from error
    if len(inflated) <= max_bytes and not stream.eof:
        raise Refused(400, "the compressed body ends early")
    if stream.unused_data:
        raise Refused(400, "expected nothing behind the compressed body")
    return inflated

"""Content codings undone within a bound: a bomb costs what the bound allows, since time follows output.

gzip and deflate are the standard library's. br and zstd need the extra ``moesifasgi[codings]``; each is
imported when a body first comes in it, and without it such a body is stored as it came.
"""

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

MAX_DECODED_BYTES = 1_000_000
"""The collector's own hard limit for one event."""
MAX_CODINGS = 2
"""Codings on top of each other: a proxy may compress again; more is an attack."""
MAX_MEMBERS = 100
"""Streams in one body. gzip and zstd may be concatenated; every one costs a copy of what follows it."""
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_ZSTD_MAX_WINDOW_BYTES = 8 << 20
"""RFC 9659: no HTTP client needs to accept more."""
_BROTLI_MAX_WINDOW_BITS = 22
"""4 MB, the default of encoders. A decoder fills its window before it heeds a bound: 16 MB take 40 ms."""
_ZSTD_PIECE_BYTES = 128
"""zstd cannot stop at a size: 4 bytes can be a block of 128 kB, so a piece costs at most 4 MB."""


class Undecodable(ValueError):
    """The body cannot be decoded. ``reason`` is ``unknown``, ``damaged``, ``too_many`` or ``too_large``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decoded(body: bytes, content_encoding: str, max_bytes: int = MAX_DECODED_BYTES) -> bytes:
    """``body`` without the codings that the header lists, the last one first.

    Raises Undecodable, also where any step comes to more than ``max_bytes``.
    """
    names = [name for part in content_encoding.lower().split(",") if (name := part.strip())]
    codings = [name for name in names if name != "identity"]
    if len(codings) > MAX_CODINGS:
        raise Undecodable("too_many")
    for name in reversed(codings):
        decode = _CODINGS.get(name)
        if decode is None:
            raise Undecodable("unknown")
        body = decode(body, max_bytes)
    return body


def _gzip(body: bytes, max_bytes: int) -> bytes:
    whole = bytearray()
    for _ in range(MAX_MEMBERS):
        member, body = _inflate(body, _GZIP, max_bytes - len(whole))
        whole += member
        # What follows the last member without being one is padding, as for every gzip reader.
        if not body.startswith(b"\x1f\x8b"):
            return bytes(whole)
    raise Undecodable("too_many")


def _deflate(body: bytes, max_bytes: int) -> bytes:
    """RFC 9110 means zlib by ``deflate``; some peers mean what the word says."""
    try:
        return _inflate(body, _ZLIB, max_bytes)[0]
    except Undecodable as error:
        if error.reason != "damaged":
            raise
    return _inflate(body, _RAW_DEFLATE, max_bytes)[0]


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> tuple[bytes, bytes]:
    """One stream's content, and what stands after it."""
    stream = zlib.decompressobj(window_bits)
    try:
        content = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise Undecodable("damaged") from error
    if len(content) > max_bytes:
        raise Undecodable("too_large")
    if not stream.eof:
        raise Undecodable("damaged")
    return content, stream.unused_data


def _brotli(body: bytes, max_bytes: int) -> bytes:
    brotli = _bounded_brotli()
    if _brotli_window_bits(body) > _BROTLI_MAX_WINDOW_BITS:
        raise Undecodable("too_large")
    stream = brotli.Decompressor()
    try:
        content: bytes = stream.process(body, output_buffer_limit=max_bytes + 1)
    except brotli.error as error:
        raise Undecodable("damaged") from error
    if len(content) > max_bytes:
        raise Undecodable("too_large")
    if not stream.is_finished():
        raise Undecodable("damaged")
    return content


def _brotli_window_bits(body: bytes) -> int:
    """By the first byte (RFC 7932, 9.1); of windows below 18 bits only that they are."""
    first = body[0] if body else 0
    return 17 + (first >> 1 & 7) if first & 1 else 17


@lru_cache(maxsize=1)
def _bounded_brotli() -> Any:
    """The module, from the version on that can bound its output (1.2); an older one is as good as none."""
    try:
        import brotli

        brotli.Decompressor().process(b"", output_buffer_limit=1)
    except (ImportError, TypeError) as error:
        raise Undecodable("unknown") from error
    return brotli


def _zstd(body: bytes, max_bytes: int) -> bytes:
    try:
        import zstandard
    except ImportError as error:
        raise Undecodable("unknown") from error
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW_BYTES)
    whole = bytearray()
    try:
        for _ in range(MAX_MEMBERS):
            body = _zstd_frame(decompressor.decompressobj(), body, whole, max_bytes)
            if not body:
                return bytes(whole)
    except zstandard.ZstdError as error:
        raise Undecodable("damaged") from error
    raise Undecodable("too_many")


def _zstd_frame(stream: Any, body: bytes, whole: bytearray, max_bytes: int) -> bytes:
    """Append one frame's content to ``whole``; returns what stands after the frame."""
    for start in range(0, len(body), _ZSTD_PIECE_BYTES):
        end = start + _ZSTD_PIECE_BYTES
        whole += stream.decompress(body[start:end])
        if len(whole) > max_bytes:
            raise Undecodable("too_large")
        if stream.eof:
            return bytes(stream.unused_data) + body[end:]
    raise Undecodable("damaged")


_CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}

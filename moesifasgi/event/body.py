"""What a body is to Moesif: a JSON value, or bytes in base64.

    JSON, whatever type it is declared as   its value (a bare scalar only where it is declared as JSON)
    a form                                  a map of its fields
    anything else                           base64 of the bytes, without their content coding

What JSON allows and other encoders refuse is made safe: NaN, Infinity and numbers beyond a double become
null, integers beyond 64 bits text, lone surrogates U+FFFD; the last of repeated keys wins. What is nested
deeper than ``MAX_DEPTH`` is stored as base64, which keeps it whole.
"""

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from moesifasgi.event.charsets import codec_of
from moesifasgi.event.coding import MAX_DECODED_BYTES, Undecodable, decoded
from moesifasgi.event.form import multipart_fields, urlencoded_fields
from moesifasgi.event.headers import media_type
from moesifasgi.event.jsonable import MAX_DEPTH, bounded_int

_ESCAPE = re.compile(
    r"\\(?:\\|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
"""What a search for half a surrogate pair tells apart: a backslash, a whole pair, and (group 1) half one."""
_CONTAINERS = frozenset({dict, list})
_JSON_SPACE = " \t\r\n"
ESCAPES_A_VALUE = 5
_MAX_INT_CHARACTERS = 20
"""The longest 64-bit integers: ``-(2**63)`` and ``2**64 - 1``."""


class Reading(NamedTuple):
    """How a body is read: what that may cost, beyond which it is stored as bytes, and in which way."""

    decoded_bytes: int = MAX_DECODED_BYTES
    """Of a body that comes in a content coding."""
    values: int = 200_000
    """Values in JSON, counted before it is parsed, so that commas and brackets within texts count too.

    So many take 20 to 50 ms. ``ESCAPES_A_VALUE`` percent-escapes of a form cost as much as one.
    """
    shortcut: Callable[[bytes], Any] | None = None
    """A faster parser of JSON, which raises ValueError where it would see anything else than this module."""


IN_THE_SHIPPER = Reading()
IN_THE_WORKER = Reading(decoded_bytes=256_000, values=6_000)
"""In an event loop that others wait for: a few bytes of gzip can hold a million values."""


class StoredBody(NamedTuple):
    """A body as the event holds it."""

    content: Any
    transfer_encoding: Literal["json", "base64"]
    undecoded: str | None = None
    """``Undecodable.reason`` where the content coding is still on it, or it is beyond its bounds."""


def stored_body(
    raw: bytes, headers: Mapping[str, str], *, cut: bool = False, reading: Reading = IN_THE_SHIPPER
) -> StoredBody | None:
    """A body with its flat, lower-case headers; None where it is empty. What is ``cut`` stays as it is."""
    if not raw:
        return None
    if cut:
        return _as_base64(raw)
    content_encoding = headers.get("content-encoding")
    came = raw
    try:
        if content_encoding:
            raw = decoded(raw, content_encoding, reading.decoded_bytes)
        _check_values(raw, reading.values)
    except Undecodable as error:
        return _as_base64(came, error.reason)
    if not raw:
        return None
    try:
        return StoredBody(_value(raw, headers.get("content-type", ""), reading.shortcut), "json")
    except (ValueError, RecursionError):
        return _as_base64(raw)


def _check_values(raw: bytes, most: int) -> None:
    # Nearly all bodies are too short to hold so many.
    if len(raw) <= most:
        return
    if sum(map(raw.count, (b",", b"[", b"{"))) + raw.count(b"%") // ESCAPES_A_VALUE > most:
        raise Undecodable("too_large")


def _as_base64(raw: bytes, undecoded: str | None = None) -> StoredBody:
    return StoredBody(b64encode(raw).decode("ascii"), "base64", undecoded)


def _value(raw: bytes, content_type: str, shortcut: Callable[[bytes], Any] | None) -> Any:
    """The value of a JSON body or a form. ValueError: it is neither; RecursionError: far too deep."""
    declared, parameters = media_type(content_type)
    try:
        value = _parsed(raw, parameters, shortcut)
    except ValueError:
        return _form_value(raw, declared, parameters)
    if isinstance(value, (dict, list)) or "json" in declared:
        return value
    return _form_value(raw, declared, parameters)


def _parsed(raw: bytes, parameters: Mapping[str, str], shortcut: Callable[[bytes], Any] | None) -> Any:
    if shortcut is not None:
        with suppress(ValueError):
            return shortcut(raw)
    return _json_value(_text(raw, parameters))


def _form_value(raw: bytes, declared: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    if declared == "application/x-www-form-urlencoded":
        return urlencoded_fields(raw, parameters.get("charset", ""))
    if declared == "multipart/form-data":
        return multipart_fields(raw, parameters.get("boundary", ""))
    raise ValueError("neither JSON nor a form")


def _text(raw: bytes, parameters: Mapping[str, str]) -> str:
    """JSON is UTF-8, -16 or -32, which its first bytes tell; what is none of them is as it is declared."""
    try:
        if raw[0] < 0x80 and 0 not in raw[:4]:
            return raw.decode()
        return raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError:
        codec = codec_of(parameters.get("charset", ""))
        if codec is None:
            raise
    return raw.decode(codec)


def _json_value(text: str) -> Any:
    text = text.strip(_JSON_SPACE)
    if "\\ud" in text or "\\uD" in text:
        text = _ESCAPE.sub(_without_half_pair, text)
    value, end = _DECODER.raw_decode(text)
    if end != len(text):
        raise ValueError("something stands after the JSON value")
    check_depth(text.count("[") + text.count("{"), value)
    return value


def _without_half_pair(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape[1] else escape[0]


def check_depth(brackets: int, value: Any) -> None:
    """ValueError where a value, written with so many opening brackets, nests too deep."""
    if brackets > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether ``value`` nests maps and lists in more than ``levels`` levels, found without recursion."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(levels):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
    return bool(level)


def _int(digits: str) -> int | str:
    return bounded_int(int(digits)) if len(digits) <= _MAX_INT_CHARACTERS else digits


def _float(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _no_number(_name: str) -> None:
    return None


_DECODER = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_no_number)

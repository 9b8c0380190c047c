"""Forms as a map of their fields: ``application/x-www-form-urlencoded`` and ``multipart/form-data``.

A field that is repeated becomes a list. A file is described, and its content left out. What does not keep to
the format raises ValueError: it is then stored as it came, which loses nothing.

The standard library's ``email`` parses multipart line by line and follows nested parts, which no form has
(RFC 7578 4.3); one split of the body is all that a form needs, and a hostile one costs only its length.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from moesifasgi.event.charsets import codec_of
from moesifasgi.event.headers import parameters

MAX_FIELDS = 1000
"""Fields in one form: as many as common form parsers accept."""
_FOLD = re.compile(r"\r\n[ \t]+")
"""One header over several lines, as old clients write a long one."""
_NOT_IN_NAMES = re.compile('[{}<>"\\r\\n]')
"""JSON, XML and lines of text: read as a form, they are one long name."""
_MAX_BOUNDARY_CHARACTERS = 70
"""RFC 2046 5.1.1."""
_MAX_PART_HEADERS = 10
"""Lines of one part: clients write three."""


def urlencoded_fields(body: bytes, charset: str = "") -> dict[str, Any]:
    """The fields of a URL-encoded form; a field without ``=`` is empty, as to browsers.

    It is UTF-8 where ``charset`` is none that is known; what is not in it becomes U+FFFD.
    ValueError: too many, or no form, whatever it is declared as.
    """
    codec = codec_of(charset) or "utf-8"
    text = body.decode(codec, "replace")
    fields = parse_qsl(text, True, encoding=codec, max_num_fields=MAX_FIELDS)
    if "=" not in text or any(_NOT_IN_NAMES.search(name) for name, _ in fields):
        raise ValueError("a form's fields have names")
    return _gathered(fields)


def multipart_fields(body: bytes, boundary: str) -> dict[str, Any]:
    """The fields of a multipart form; a file as ``filename``, ``content_type`` and ``size`` (bytes)."""
    if not 0 < len(boundary) <= _MAX_BOUNDARY_CHARACTERS:
        raise ValueError("a multipart form has a boundary of 1 to 70 characters")
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(delimiter, MAX_FIELDS + 1)[1:]
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("a multipart form ends with its boundary, after 1000 fields at most")
    return _gathered(_field(part) for part in parts[:-1])


def _field(part: bytes) -> tuple[str, Any]:
    padding, line_end, rest = part.partition(b"\r\n")
    head, blank_line, content = rest.partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not line_end or not blank_line:
        raise ValueError("a part of a multipart form has headers and a content")
    if head.count(b"\r\n") >= _MAX_PART_HEADERS:
        raise ValueError("a part of a multipart form has a few headers")
    headers = _part_headers(head)
    disposition, _, described = headers.get("content-disposition", "").partition(";")
    found, whole = parameters(described)
    name = _value(found, "name")
    if disposition.strip().lower() != "form-data" or name is None:
        raise ValueError("a part of a multipart form has a name")
    # Of what is not understood it is enough that a file could be named in it.
    named = found if whole else ["filename"] if "filename" in described.lower() else []
    # filename, filename* and filename*0: some clients write only the second.
    if not any(each.startswith("filename") for each in named):
        return name, content.decode("utf-8", "replace")
    content_type = headers.get("content-type", "application/octet-stream")
    filename = _value(found, "filename") or ""
    return name, {"filename": filename, "content_type": content_type, "size": len(content)}


def _value(found: Mapping[str, str], name: str) -> str | None:
    """A parameter, or its extended form ``name*=UTF-8''%E2%82%AC`` (RFC 8187), which goes first."""
    extended = found.get(f"{name}*")
    if extended is None:
        return found.get(name)
    charset, _, rest = extended.partition("'")
    return unquote(rest.partition("'")[2], codec_of(charset) or "utf-8", "replace")


def _part_headers(head: bytes) -> dict[str, str]:
    """A part's headers in lower case; repeated ones joined, for a file may be named in any of them."""
    headers: dict[str, str] = {}
    for line in _FOLD.sub(" ", head.decode("utf-8", "replace")).split("\r\n"):
        name, _, value = (piece.strip() for piece in line.partition(":"))
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _gathered(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Fields by name: its value, or the list of its values where the name comes more than once."""
    values: dict[str, list[Any]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}

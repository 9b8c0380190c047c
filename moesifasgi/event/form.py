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

from moesifasgi.event.headers import media_type

MAX_FIELDS = 1000
"""Fields in one form: as many as common form parsers accept."""
_NOT_IN_NAMES = re.compile('[{}<>"\\r\\n]')
"""JSON, XML and lines of text: read as a form, they are one long name."""
_MAX_BOUNDARY_CHARACTERS = 70
"""RFC 2046 5.1.1."""


def urlencoded_fields(body: bytes) -> dict[str, Any]:
    """The fields of a URL-encoded form; bytes that are not UTF-8 become U+FFFD.

    ValueError: too many, or no form, whatever it is declared as.
    """
    text = body.decode("utf-8", "replace")
    fields = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    has_names = all("=" in field for field in text.split("&") if field)
    if not has_names or any(_NOT_IN_NAMES.search(name) for name, _ in fields):
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
    headers = _part_headers(head)
    disposition, parameters = media_type(headers.get("content-disposition", ""))
    name = _parameter(parameters, "name")
    if disposition != "form-data" or name is None:
        raise ValueError("a part of a multipart form has a name")
    # filename, filename* and filename*0: some clients write only the second.
    if not any(each.startswith("filename") for each in parameters):
        return name, content.decode("utf-8", "replace")
    content_type = headers.get("content-type", "application/octet-stream")
    filename = _parameter(parameters, "filename") or ""
    return name, {"filename": filename, "content_type": content_type, "size": len(content)}


def _parameter(parameters: Mapping[str, str], name: str) -> str | None:
    """A parameter, or its extended form ``name*=UTF-8''%E2%82%AC`` (RFC 8187), which goes first."""
    extended = parameters.get(f"{name}*")
    if extended is None:
        return parameters.get(name)
    charset, _, rest = extended.partition("'")
    encoding = "latin-1" if charset.lower() == "iso-8859-1" else "utf-8"
    return unquote(rest.partition("'")[2], encoding, "replace")


def _part_headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _gathered(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Fields by name: its value, or the list of its values where the name comes more than once."""
    values: dict[str, list[Any]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}

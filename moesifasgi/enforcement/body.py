"""What conditions on the body look into: whatever an application may see in it.

Apart from the event's own reading (``event.body``), which shows what a body *is*: a client must not get
around a rule by a header that the application does not heed, or by a form that the event would not store. So
a body may have several *views*, and a condition holds if it holds in one of them:

    JSON              whatever type it is declared as; of an array each object
    a form            as declared, read as leniently as common parsers do; repeated fields are lists
    raw GraphQL       its text as ``query``
    all of it again   behind the content coding, where the header names one and it is on the body
    the event's own   where there is none of these

Every view costs time in proportion to the body: some milliseconds for 100 kB at most.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from moesifasgi.event.body import IN_THE_WORKER, stored_body
from moesifasgi.event.coding import Undecodable, decoded

GRAPHQL: Final = "application/graphql"
"""A body of this type is the query itself; in any other the query is a field."""
MAX_FIELDS: Final = 2_000
"""Different fields of a form that are looked at; parsers in common use refuse more than 1,000."""
MAX_PARTS: Final = 2_000
"""Of a multipart form; the same parsers take 1,000 fields and 1,000 files."""
MAX_PART_HEAD_BYTES: Final = 16_000
"""What has longer headers is no part to them."""
_BOUNDARY: Final = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_NAME: Final = re.compile(rb'[;\s]name\*?=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_FILENAME: Final = re.compile(rb'[;\s]filename\*?=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_PART_TYPE: Final = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_ESCAPED: Final = re.compile(rb'\\(["\\])')

View = dict[str, Any]


def body_value(raw: bytes, headers: Mapping[str, str], content_type: str) -> View | list[View] | None:
    """The view of a body, or the list of them; None where nothing can be looked into.

    ``headers`` are flat; ``content_type`` is the first field of that name alone, as applications take it.
    """
    views = _views(raw, content_type)
    coding = headers.get("content-encoding")
    plain = _without_coding(raw, coding) if coding else raw
    if plain != raw:
        views += _views(plain, content_type)
    if not views:
        stored = stored_body(raw, headers, reading=IN_THE_WORKER)
        views = _objects(stored.content) if stored is not None else []
    return views[0] if len(views) == 1 else views or None


def _without_coding(raw: bytes, coding: str) -> bytes:
    try:
        return decoded(raw, coding, IN_THE_WORKER.decoded_bytes)
    except Undecodable:
        return raw


def _views(raw: bytes, content_type: str) -> list[View]:
    views = _objects(_json_value(raw))
    declared = content_type.partition(";")[0].strip().lower()
    if declared == "application/x-www-form-urlencoded":
        views.append(_urlencoded(raw))
    elif declared == "multipart/form-data":
        views.append(_multipart(raw, content_type))
    elif declared == GRAPHQL and not views:
        views.append({"query": raw.decode("utf-8", "replace")})
    return views


def _objects(value: object) -> list[View]:
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _json_value(raw: bytes) -> object:
    """As ``json.loads`` reads bytes: UTF-8, -16 or -32, with lone surrogates. None where it is no JSON."""
    try:
        return json.loads(raw)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return None
    except ValueError:
        # An integer of more digits than Python converts; to other parsers it is a number.
        return _json_with_any_integer(raw)


def _json_with_any_integer(raw: bytes) -> object:
    try:
        return json.loads(raw, parse_int=str)
    except (ValueError, RecursionError):
        return None


def _urlencoded(raw: bytes) -> View:
    """Some parsers separate fields by ``;`` too; some read bytes beyond ASCII as Latin-1, others as UTF-8."""
    texts = (
        [raw.decode("latin-1")] if raw.isascii() else [raw.decode("latin-1"), raw.decode("utf-8", "replace")]
    )
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(text.split("&")))
        if ";" in text:
            found.update(dict.fromkeys(re.split("[&;]", text)))
    return _gathered(_pair(field) for field, _ in zip(found, range(MAX_FIELDS), strict=False))


def _pair(field: str) -> tuple[str, str]:
    name, _, value = field.partition("=")
    if "%" in field or "+" in field:
        return unquote_plus(name), unquote_plus(value)
    return name, value


def _multipart(raw: bytes, content_type: str) -> View:
    """Every part with a name, whether or not the form is complete; a file as the event describes it."""
    found = _BOUNDARY.findall(content_type)
    if not found:
        return {}
    # Of several the last counts, as for the parser of Starlette.
    boundary = "".join(found[-1]).encode("latin-1", "replace")
    parts = (b"\r\n" + raw).split(b"\r\n--" + boundary, MAX_PARTS + 1)[1 : MAX_PARTS + 1]
    return _gathered(field for part in parts for field in _part_fields(part))


def _part_fields(part: bytes) -> Iterable[tuple[str, Any]]:
    """A part under each of the names that its headers may be taken to give it."""
    head, _, content = part.partition(b"\r\n\r\n")
    if len(head) > MAX_PART_HEAD_BYTES:
        return []
    names = {_text(_ESCAPED.sub(rb"\1", b"".join(name))) for name in _NAME.findall(head)}
    value: Any
    if (filename := _FILENAME.search(head)) is not None:
        kind = _PART_TYPE.search(head)
        value = {
            "filename": _text(filename[1] or filename[2] or b""),
            "content_type": _text(kind[1].strip()) if kind else "application/octet-stream",
            "size": len(content),
        }
    else:
        value = _text(content)
    return [(name, value) for name in names]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _gathered(fields: Iterable[tuple[str, Any]]) -> View:
    """A field's value, or the list of its values where it comes more than once."""
    values: dict[str, list[Any]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}

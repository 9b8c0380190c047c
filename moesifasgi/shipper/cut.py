"""An item that is over the collector's limit, made small enough; what was cut is noted in its metadata. Pure.

Bodies give way first: each keeps as much of its beginning as fits. Where all else is too large already (a
flood of headers, a URI of a megabyte), texts are cut to so many characters, and maps and lists to so many
entries, the largest such number that is enough. An id is never cut, because half an id is another one's: it
is left out, and where that leaves an update without its object, the update is refused.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import orjson

from moesifasgi.event.notes import NOTES_KEY, body_note_in, notes_in

MAX_EVENT_BYTES = 900_000
"""The collector's limit is 1 MB an event; the rest is margin."""
LIMITS = (64_000, 16_000, 4_000, 1_000, 250)
"""Characters of a text, entries of a map or list. What the collector checks is shorter than the last."""
WELL_KNOWN = (
    NOTES_KEY,
    "x-moesif-transaction-id",
    "content-type",
    "content-encoding",
    "content-length",
    "host",
    "user-agent",
    "location",
)
"""Entries that a map keeps before any other: a flood of headers must not wash away what says the most."""
_NOTE_ROOM_BYTES = 2_000
_MAX_FIELDS_NOTED, _MAX_NAME_CHARACTERS = 10, 50
_BODIES = ("request", "response")
IDS = ("user_id", "company_id", "subscription_id", "session_token", "blocked_by")
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_NAIVE_UTC


class CannotBeCut(ValueError):
    """Nothing that may be cut makes the item small enough."""


def dumps(item: object) -> bytes:
    """``item`` as JSON; what JSON does not know is written as text."""
    return orjson.dumps(item, default=_plain, option=_OPTIONS)


def cut(item: dict[str, Any], size_bytes: int, required_ids: tuple[str, ...] = ()) -> bytes:
    """The item as JSON of at most ``MAX_EVENT_BYTES``. Changes ``item``. Raises CannotBeCut.

    ``size_bytes`` is what it was; ``required_ids`` are those of ``IDS`` without which it is nobody's.
    """
    bodies = {name: item[name].pop("body") for name in _BODIES if _has_body(item.get(name))}
    room = MAX_EVENT_BYTES - _NOTE_ROOM_BYTES
    rest_bytes = len(dumps(item))
    if rest_bytes > room:
        item = _shortened(item, size_bytes, room, required_ids)
        rest_bytes = len(dumps(item))
    _put_back(item, bodies, room - rest_bytes)
    return dumps(item)


def _has_body(message: object) -> bool:
    return isinstance(message, dict) and message.get("body") is not None


def _shortened(
    item: dict[str, Any], size_bytes: int, room: int, required_ids: tuple[str, ...]
) -> dict[str, Any]:
    for limit in LIMITS:
        long_ids = {name for name in IDS if isinstance(item.get(name), str) and len(item[name]) > limit}
        if not long_ids.isdisjoint(required_ids):
            break
        shorter = {name: _limited(value, limit) for name, value in item.items() if name not in long_ids}
        if len(dumps(shorter)) <= room:
            fields = [name[:_MAX_NAME_CHARACTERS] for name in _differing(item, shorter)[:_MAX_FIELDS_NOTED]]
            notes_in(shorter)["cut"] = {"size_bytes": size_bytes, "limit": limit, "fields": fields}
            return shorter
    raise CannotBeCut(f"{size_bytes} bytes that cannot be cut")


def _limited(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value[:limit]
    if isinstance(value, dict):
        return {name[:limit]: _limited(value[name], limit) for name in _first_names(value, limit)}
    if isinstance(value, list):
        return [_limited(each, limit) for each in value[:limit]]
    return value


def _first_names(fields: Mapping[str, Any], limit: int) -> Iterable[str]:
    if len(fields) <= limit:
        return fields
    # A dict, because a name of both is to stand once.
    known = dict.fromkeys(name for name in WELL_KNOWN if name in fields)
    return islice(known | dict.fromkeys(fields), limit)


def _differing(item: Mapping[str, Any], shorter: Mapping[str, Any]) -> list[str]:
    """The fields that are not as they were, those of request and response by their own names."""
    found = []
    for name, value in item.items():
        left: Any = shorter.get(name)
        if name in _BODIES and isinstance(value, dict):
            found += [f"{name}.{field}" for field in value if value[field] != left.get(field)]
        elif value != left:
            found.append(name)
    return found


def _put_back(item: dict[str, Any], bodies: Mapping[str, Any], room: int) -> None:
    """Each body as it is where it fits into its share of ``room`` bytes, else its beginning in base64."""
    sizes = {name: len(dumps(body)) for name, body in bodies.items()}
    for index, name in enumerate(sorted(bodies, key=sizes.__getitem__)):
        share = room // (len(bodies) - index)
        message, body = item[name], bodies[name]
        if sizes[name] <= share:
            message["body"] = body
            room -= sizes[name]
            continue
        raw = _raw(body, message.get("transfer_encoding"))
        kept_bytes = max(share - 2, 0) // 4 * 3
        message |= {"body": b64encode(raw[:kept_bytes]).decode("ascii"), "transfer_encoding": "base64"}
        note = body_note_in(item, name)
        # The size that event.build noted is that of the whole body.
        note |= {"size_bytes": len(raw), **note, "cut_at_bytes": kept_bytes}
        room -= share


def _raw(body: Any, transfer_encoding: object) -> bytes:
    if not isinstance(body, str):
        return dumps(body)
    return b64decode(body) if transfer_encoding == "base64" else body.encode()


def _plain(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

"""A spooled item as the JSON that the collector takes, and many of those as one upload. Pure.

Each item is encoded alone, so that one which cannot be encoded costs only itself.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

import msgpack
import orjson

from moesifasgi.event.build import NOTES_KEY, build_event
from moesifasgi.event.record import Record
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

MAX_EVENT_BYTES = 900_000
"""The collector's limit is 1 MB an event; the rest is margin."""
MAX_UPLOAD_BYTES = 5_000_000
"""Uncompressed. The collector takes 50 MB; smaller uploads are cheaper to lose and to bisect."""
_NOTE_ROOM_BYTES = 1_000
_BODIES = ("request", "response")
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_NAIVE_UTC


class Unserialisable(Exception):
    """An item that can never be uploaded. ``code`` is that of its dead letter."""

    def __init__(self, reason: str, code: str = "unserialisable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def encode_item(kind: int, payload: bytes, application: Application) -> bytes:
    """One item as a JSON object of at most 900 kB; an event over that has its bodies cut.

    The payload is msgpack: a Record's array, a map, or a bin with the JSON object ready made.
    Raises Unserialisable, and nothing else: what is in an item came from outside.
    """
    try:
        item = _unpacked(kind, payload, application)
        body = item if isinstance(item, bytes) else _dumps(item)
        return body if len(body) <= MAX_EVENT_BYTES else _cut(orjson.loads(body), len(body))
    except Unserialisable:
        raise
    except Exception as error:  # the one boundary: a damaged field may fail anywhere in here
        raise Unserialisable(f"{type(error).__name__}: {error}"[:200]) from error


def pack(bodies: Sequence[bytes]) -> bytes:
    """Encoded items as the JSON array of an upload."""
    return b"[" + b",".join(bodies) + b"]"


def _unpacked(kind: int, payload: bytes, application: Application) -> dict[str, Any] | bytes:
    # unpackb allows no string, array or map to claim more than the payload's length.
    item = msgpack.unpackb(payload, strict_map_key=False, unicode_errors="replace", timestamp=3)
    if kind == Kind.RECORD:
        return build_event(Record.from_wire(item), application)
    value = orjson.loads(item) if isinstance(item, bytes) else item
    if not isinstance(value, dict):
        raise Unserialisable(f"an item is an object, not {type(value).__name__}")
    return item if isinstance(item, bytes) else value


def _dumps(item: object) -> bytes:
    return orjson.dumps(item, default=_plain, option=_OPTIONS)


def _plain(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _cut(event: dict[str, Any], size: int) -> bytes:
    """The event with its bodies replaced by as much of their beginning as fits."""
    bodies = {name: _body_bytes(event[name]) for name in _BODIES if _has_body(event.get(name))}
    room = MAX_EVENT_BYTES - _NOTE_ROOM_BYTES - (size - sum(_encoded_size(event[name]) for name in bodies))
    if not bodies or room < 0:
        raise Unserialisable(f"{size} bytes without a body that could be cut", "too_large")
    for name, kept_bytes in _shares(bodies, room).items():
        event[name]["body"] = b64encode(bodies[name][:kept_bytes]).decode("ascii")
        event[name]["transfer_encoding"] = "base64"
        _note(event, f"{name}_body", {"cut_at_bytes": kept_bytes}, {"size_bytes": len(bodies[name])})
    return _dumps(event)


def _has_body(message: object) -> bool:
    return isinstance(message, dict) and message.get("body") is not None


def _body_bytes(message: dict[str, Any]) -> bytes:
    body = message["body"]
    if not isinstance(body, str):
        return _dumps(body)
    return b64decode(body) if message.get("transfer_encoding") == "base64" else body.encode()


def _encoded_size(message: dict[str, Any]) -> int:
    return len(_dumps(message["body"]))


def _shares(bodies: dict[str, bytes], room: int) -> dict[str, int]:
    """How many bytes of each body to keep: base64 makes 4 of 3; what a small body leaves, the other gets."""
    left = room * 3 // 4
    shares = {}
    for index, name in enumerate(sorted(bodies, key=lambda each: len(bodies[each]))):
        shares[name] = min(len(bodies[name]), left // (len(bodies) - index))
        left -= shares[name]
    return shares


def _note(event: dict[str, Any], key: str, new: dict[str, int], default: dict[str, int]) -> None:
    """Say it where ``event.build`` notes what it cut; its word on the original size is the better one."""
    metadata = _dict_in(event, "metadata")
    note = _dict_in(_dict_in(metadata, NOTES_KEY), key)
    note |= {**default, **note, **new}


def _dict_in(parent: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(parent.get(key), dict):
        parent[key] = {}
    child: dict[str, Any] = parent[key]
    return child

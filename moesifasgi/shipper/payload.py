"""A spooled item as the JSON that the collector takes, and many of those as one upload. Pure.

Each item is encoded alone, so that one which cannot be encoded costs only itself.
"""

from collections.abc import Sequence
from typing import Any

import msgpack
import orjson

from moesifasgi.event.body import IN_THE_SHIPPER
from moesifasgi.event.build import build_event
from moesifasgi.event.record import Record
from moesifasgi.shipper.cut import MAX_EVENT_BYTES, CannotBeCut, cut, dumps
from moesifasgi.shipper.quick_json import quick_json
from moesifasgi.wire.messages import Kind

MAX_UPLOAD_BYTES = 5_000_000
"""Uncompressed. The collector takes 50 MB; smaller uploads are cheaper to lose and to bisect."""
_READING = IN_THE_SHIPPER._replace(shortcut=quick_json)
_REQUIRED_IDS: dict[int, tuple[str, ...]] = {
    Kind.USER: ("user_id",),
    Kind.COMPANY: ("company_id",),
    Kind.SUBSCRIPTION: ("subscription_id", "company_id"),
}


class Unserialisable(Exception):
    """An item that can never be uploaded. ``code`` is that of its dead letter."""

    def __init__(self, reason: str, code: str = "unserialisable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def encode_item(kind: int, payload: bytes) -> bytes:
    """One item as a JSON object of at most 900 kB; what is over that is cut (``cut``).

    The payload is msgpack: a Record's array, a map, or a bin with the JSON object ready made.
    Raises Unserialisable, and nothing else: what is in an item came from outside.
    """
    try:
        item = _unpacked(kind, payload)
        body = item if isinstance(item, bytes) else dumps(item)
        if len(body) <= MAX_EVENT_BYTES:
            return body
        return cut(orjson.loads(body), len(body), _REQUIRED_IDS.get(kind, ()))
    except Unserialisable:
        raise
    except CannotBeCut as error:
        raise Unserialisable(str(error), "too_large") from error
    except Exception as error:  # the one boundary: a damaged field may fail anywhere in here
        raise Unserialisable(f"{type(error).__name__}: {error}"[:200]) from error


def pack(bodies: Sequence[bytes]) -> bytes:
    """Encoded items as the JSON array of an upload."""
    return b"[" + b",".join(bodies) + b"]"


def _unpacked(kind: int, payload: bytes) -> dict[str, Any] | bytes:
    # unpackb allows no string, array or map to claim more than the payload's length.
    item = msgpack.unpackb(payload, strict_map_key=False, unicode_errors="replace", timestamp=3)
    if kind == Kind.RECORD:
        return build_event(Record.from_wire(item), _READING)
    value = orjson.loads(item) if isinstance(item, bytes) else item
    if not isinstance(value, dict):
        raise Unserialisable(f"an item is an object, not {type(value).__name__}")
    return item if isinstance(item, bytes) else value

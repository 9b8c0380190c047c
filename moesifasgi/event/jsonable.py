"""Any value as one that every strict JSON encoder takes.

    text             lone surrogates become U+FFFD
    int              beyond 64 bits: its digits as text
    float            NaN and the infinities: null, as in JavaScript
    dates, times     ISO 8601; a timedelta in seconds
    Decimal, UUID …  text; bytes as UTF-8 text, else as base64
    enum, dataclass  the member's value; a map of the fields
    map, sequence    a dict with text keys, a list
    anything else    left out of a map, null in a list

Types that need an import are known by their module's name, so that none is imported here.
"""

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any

MAX_DEPTH = 100
"""Levels of maps and lists in a value; orjson itself stops at 254."""
MAX_NODES = 10_000
"""Values within a value: more is no metadata, and shared parts of a value grow exponentially as JSON."""
MAX_INT, MIN_INT = 2**64 - 1, -(2**63)
"""What orjson and msgpack can write."""
_TEXT_MODULES = frozenset({"decimal", "fractions", "ipaddress", "pathlib", "uuid"})
_NOTHING = object()


def jsonable(value: object, *, max_depth: int = MAX_DEPTH, max_nodes: int = MAX_NODES) -> Any:
    """``value`` as plain dict, list, str, int, float, bool and None, in new containers.

    What lies deeper than ``max_depth``, comes after ``max_nodes``, contains itself or is of an unknown type
    is left out. Raises only what a container of the caller's own making raises while it is read.
    """
    made = _Conversion(max_nodes).convert(value, max_depth)
    return None if made is _NOTHING else made


def well_formed(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def bounded_int(value: int) -> int | str:
    """``value``, or its digits as text beyond 64 bits (hexadecimal where Python refuses to write so many)."""
    if MIN_INT <= value <= MAX_INT:
        return value
    return str(value) if value.bit_length() < 2048 else hex(value)


class _Conversion:
    """One walk over one value: the nodes it may still visit and the containers that it is inside of."""

    __slots__ = ("_inside", "_nodes_left")

    def __init__(self, max_nodes: int) -> None:
        self._nodes_left = max_nodes
        self._inside: set[int] = set()

    def convert(self, value: object, depth: int) -> Any:
        self._nodes_left -= 1
        # The exact built-ins are nearly all that there is, and quickly told apart.
        if type(value) not in (dict, list):
            made = _scalar(value)
            if made is not _NOTHING:
                return made
        if depth <= 0 or self._nodes_left <= 0 or id(value) in self._inside:
            return _NOTHING
        self._inside.add(id(value))
        try:
            return self._container(value, depth - 1)
        finally:
            self._inside.discard(id(value))

    def _container(self, value: object, depth: int) -> Any:
        # By their exact types first: to ask what else is a mapping takes longer than to convert one.
        if type(value) is dict or isinstance(value, Mapping):
            return self._map(value.items(), depth)
        if type(value) is list or isinstance(value, (Sequence, Set)):
            return self._list(value, depth)
        if isinstance(value, Enum):
            return self.convert(value.value, depth)
        if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
            return self.convert(value.item(), depth)  # type: ignore[attr-defined]  # every numpy scalar has it
        names = getattr(type(value), "__dataclass_fields__", None)
        if names is not None:
            return self._map(((name, getattr(value, name, None)) for name in names), depth)
        return _NOTHING

    def _item(self, item: object, depth: int) -> Any:
        # Nearly all that there is stays as it is, and is told quickly.
        if item is None or type(item) is bool or (type(item) is str and item.isascii()):
            self._nodes_left -= 1
            return item
        return self.convert(item, depth)

    def _map(self, items: Iterable[tuple[object, object]], depth: int) -> dict[str, Any]:
        made = {}
        for key, item in items:
            if self._nodes_left <= 0:
                break
            name = key if type(key) is str and key.isascii() else _key(key)
            value = self._item(item, depth)
            if name is not None and value is not _NOTHING:
                made[name] = value
        return made

    def _list(self, items: Iterable[object], depth: int) -> list[Any]:
        made = []
        for item in items:
            if self._nodes_left <= 0:
                break
            value = self._item(item, depth)
            made.append(None if value is _NOTHING else value)
        return made


def _key(key: object) -> str | None:
    made = _scalar(key.value if isinstance(key, Enum) else key)
    return made if isinstance(made, str) else None if made is _NOTHING else str(made)


def _scalar(value: object) -> Any:
    """``value`` as a JSON scalar; ``_NOTHING`` if it is none. Exact built-ins come out of subclasses too."""
    if type(value) is str:
        return well_formed(value)
    if value is None or value is True or value is False:
        return value
    if isinstance(value, Enum):
        return _NOTHING
    if isinstance(value, str):
        return well_formed(str.__str__(value))
    if isinstance(value, int):
        return bounded_int(int.__int__(value))
    if isinstance(value, float):
        return float.__float__(value) if math.isfinite(value) else None
    return _scalar_as_text(value)


def _scalar_as_text(value: object) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _text_of_bytes(bytes(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if type(value).__module__.partition(".")[0] in _TEXT_MODULES:
        return well_formed(str(value))
    return _NOTHING


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode("ascii")

"""A policy document as it travels and is kept: ``{"config": {...}, "rules": [...]}`` in msgpack.

The two parts are the collector's own answers, each packed by itself, so that one can be replaced without
unpacking the other.
"""

from typing import Any

import msgpack

MAX_PART_BYTES = 2_000_000
"""Most that either part may have, as JSON and packed; both together fit in a frame (4 MiB)."""
MAX_LEVELS = 100
"""Of maps and lists in each other: whoever walks through a policy may do so by recursion."""
NO_CONFIG, NO_RULES = b"\x80", b"\x90"
"""An empty part, packed."""
_MAP_OF_TWO = b"\x82"
_CONFIG, _RULES = (msgpack.packb(name) for name in ("config", "rules"))


def pack_part(part: dict[str, Any] | list[Any]) -> bytes:
    """The configuration, or the list of rules: JSON. ValueError if it is nested too deeply, or too large."""
    if _levels(part) > MAX_LEVELS:
        raise ValueError(f"it is nested more than {MAX_LEVELS} levels deep")
    packed: bytes = msgpack.packb(part)
    if len(packed) > MAX_PART_BYTES:
        raise ValueError(f"it is larger than {MAX_PART_BYTES} bytes")
    return packed


def joined(config: bytes, rules: bytes) -> bytes:
    """Two packed parts as one document."""
    return b"".join((_MAP_OF_TWO, _CONFIG, config, _RULES, rules))


def unpack(document: bytes) -> dict[str, Any]:
    """The document as a value. ValueError where it is none."""
    try:
        found = msgpack.unpackb(document)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise ValueError(f"a policy document is one msgpack map: {type(error).__name__}") from error
    if not isinstance(found, dict):
        raise ValueError(f"a policy document is a map, not a {type(found).__name__}")
    return found


def _levels(part: dict[str, Any] | list[Any]) -> int:
    """How deep maps and lists are nested; one more than the limit where it is more."""
    level: list[Any] = [part]
    for depth in range(MAX_LEVELS + 1):
        if not level:
            return depth
        inside = (
            inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
        )
        level = [inner for inner in inside if isinstance(inner, dict | list)]
    return MAX_LEVELS + 1

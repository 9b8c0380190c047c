"""Header fields of a client library as a Record has them."""

from collections.abc import Iterable
from typing import Any


def header_pairs(fields: Iterable[tuple[Any, Any]]) -> list[tuple[bytes, bytes]]:
    """Pairs of text, or of bytes, as pairs of bytes; what Latin-1 does not have becomes a question mark."""
    fields = list(fields)
    try:
        # Nearly always.
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    except (AttributeError, UnicodeEncodeError):
        return [(_bytes(name), _bytes(value)) for name, value in fields]


def _bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("latin-1", "replace")

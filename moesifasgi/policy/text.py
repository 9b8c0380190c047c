"""JSON values of any type as what they should be: a text to search in or to write, a list, an object."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from moesifasgi.event.jsonable import bounded_int

_WHOLE_BELOW = 1e21
"""JavaScript writes whole numbers below this without an exponent."""


def text_of(value: object) -> str | None:
    """Text as it is, numbers and booleans as JavaScript writes them; None for all else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(bounded_int(value))
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < _WHOLE_BELOW else repr(value)
    return None


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list | tuple)


def text_keys(value: object) -> Mapping[str, object]:
    """A JSON object with its keys as text; an empty one if ``value`` is none."""
    if not isinstance(value, Mapping):
        return {}
    return {key: item for name, item in value.items() if (key := text_of(name)) is not None}

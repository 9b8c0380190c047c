"""Merge tags: ``{{name}}`` and ``{{name|default}}`` in what a rule answers.

A tag stands for the value that the dashboard gave this user or company under that name; without one, for its
default, else for ``UNKNOWN``. What a value contains is not looked at for tags again. In a rule that declares
no variables, text of that form is text. Keys of a body have no tags.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_TAG: Final = re.compile(r"\{\{([^{}|]+)(?:\|([^}]*))?\}\}")
_MISSING: Final = "UNKNOWN"


def has_tags(value: object) -> bool:
    """Whether there is a tag in a text, or in any text of a list or object."""
    if isinstance(value, str):
        return _TAG.search(value) is not None
    if isinstance(value, Mapping):
        return any(has_tags(item) for item in value.values())
    return isinstance(value, list) and any(has_tags(item) for item in value)


def replaced(value: Any, values: Mapping[str, str]) -> Any:
    """``value`` with its tags replaced at any depth."""
    if isinstance(value, str):
        return _TAG.sub(lambda tag: _value_of(tag, values), value)
    if isinstance(value, Mapping):
        return {key: replaced(item, values) for key, item in value.items()}
    return [replaced(item, values) for item in value] if isinstance(value, list) else value


def _value_of(tag: re.Match[str], values: Mapping[str, str]) -> str:
    found = values.get(tag[1], tag[2])
    return _MISSING if found is None else found

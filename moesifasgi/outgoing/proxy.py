"""wrapt's transparent proxy, under its typed name: wrapt 1.x cannot be subscripted at run time."""

from typing import TYPE_CHECKING, Any

from wrapt import ObjectProxy

if TYPE_CHECKING:
    Proxy = ObjectProxy[Any]
else:
    Proxy = ObjectProxy
"""Attributes of its own begin with ``_self_``; all else is the wrapped object's."""

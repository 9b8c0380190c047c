"""Wrapping functions of client libraries, and taking that back, beside other patchers before and after us."""

from collections.abc import Callable
from typing import Any

from wrapt import wrap_object

from moesifasgi.outgoing.wrapped_function import WrappedFunction

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""(wrapped, instance, args, kwargs) → what the wrapped function would return."""


class Patches:
    """The wrapped functions of one process."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, str, Any, bool]] = []
        self._is_on = True

    def wrap(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """Have ``wrapper`` called instead of ``owner.name``, a class's function. AttributeError if none."""
        is_own = name in vars(owner)
        made = wrap_object(owner, name, WrappedFunction, (wrapper, lambda: self._is_on, owner, name))
        self._made.append((owner, name, made, is_own))

    def undo(self) -> None:
        """Put back what was there. Where a patcher has come after us, ours stays below, without effect."""
        self._is_on = False
        for owner, name, made, is_own in reversed(self._made):
            if vars(owner).get(name) is not made:
                continue
            if is_own:
                setattr(owner, name, made.__wrapped__)
            else:
                delattr(owner, name)
        self._made.clear()

"""A function of a client library, wrapped, that is copied and pickled like any function: by its name."""

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from wrapt import BoundFunctionWrapper, FunctionWrapper

if TYPE_CHECKING:
    Function = FunctionWrapper[Any, Any]
    Bound = BoundFunctionWrapper[Any, Any]
else:
    # wrapt 1.x cannot be subscripted at run time.
    Function, Bound = FunctionWrapper, BoundFunctionWrapper

Reduced = tuple[Callable[..., Any], tuple[Any, str]]


class _Bound(Bound):
    """As an attribute of the class, or of one of its objects."""

    def __reduce__(self) -> Reduced:
        owner, name = self._self_parent._self_place
        return getattr, (owner if self._self_instance is None else self._self_instance, name)

    def __reduce_ex__(self, protocol: Any) -> Reduced:
        return self.__reduce__()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self._self_instance is None:
            return self
        _, name = self._self_parent._self_place
        return getattr(deepcopy(self._self_instance, memo), name)


class WrappedFunction(Function):
    """In place of ``owner.name``."""

    __bound_function_wrapper__ = _Bound

    def __init__(self, wrapped: Any, wrapper: Any, enabled: Any, owner: Any, name: str) -> None:
        super().__init__(wrapped, wrapper, enabled)
        self._self_place = (owner, name)

    def __reduce__(self) -> Reduced:
        return getattr, self._self_place

    def __reduce_ex__(self, protocol: Any) -> Reduced:
        return self.__reduce__()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

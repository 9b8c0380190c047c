"""One function of the user's, called so that it can do no harm: contained, timed, counted, and said once a
minute. A line says which function it was and where it failed, never what it was called with.
"""

from collections.abc import Callable
from enum import Enum, auto
from inspect import isawaitable
from time import monotonic
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypeVar

from moesifasgi.channel import Channel
from moesifasgi.quiet import say
from moesifasgi.steps import NoAnswer, Steps

T = TypeVar("T")


class _Unknown(Enum):
    UNKNOWN = auto()


Unknown: TypeAlias = Literal[_Unknown.UNKNOWN]
UNKNOWN: Final = _Unknown.UNKNOWN
"""There is no answer: the function failed or ran out of time. Not the same as None, the answer "nobody"."""


class UserFunction:
    """A function of the user's under its settings key: synchronous, asynchronous, or any other callable."""

    __slots__ = ("_channel", "_function", "_key", "_timeout_s")

    def __init__(self, key: str, function: Callable[..., Any], timeout_s: float, channel: Channel) -> None:
        self._key = key
        self._function = function
        self._timeout_s = timeout_s
        # Not its counters: a forked child has new ones.
        self._channel = channel

    def answer(self, convert: Callable[[Any], T], *arguments: object) -> Steps[T | Unknown]:
        """What the function says, as ``convert`` makes it; UNKNOWN where either has failed."""
        begun = monotonic()
        try:
            found = self._function(*arguments)
            if isawaitable(found):
                found = yield found
            if monotonic() - begun > self._timeout_s:
                self._overran()
            return convert(found)
        except NoAnswer as missing:
            self._channel.counters.add(missing.reason)
            say(f"{self._key} {missing.reason}", "%s: %s", self._key, _WHY[missing.reason])
        except Exception as error:  # noqa: BLE001  (the boundary: see the module)
            self._failed(error)
        return UNKNOWN

    def _overran(self) -> None:
        self._channel.counters.add("hook_overran")
        say(
            f"{self._key} overran",
            "%s took longer than HOOK_TIMEOUT (%g s), and nothing else ran meanwhile",
            self._key,
            self._timeout_s,
        )

    def _failed(self, error: Exception) -> None:
        self._channel.counters.add("hook_failed")
        kind, where = type(error).__name__, _innermost(error.__traceback__)
        say(f"{self._key} failed", "%s failed: %s at %s", self._key, kind, where)


_WHY = {
    "hook_timed_out": "it was not done within HOOK_TIMEOUT, or before the worker ended",
    "hook_crowded_out": "too many events wait for asynchronous functions; this one went without",
}


def _innermost(traceback: TracebackType | None) -> str:
    """Where it was raised: file and line, which hold nothing of a request's."""
    if traceback is None:
        return "an unknown place"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"

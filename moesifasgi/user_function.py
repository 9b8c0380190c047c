"""One function of the user's, called so that it can do no harm: contained (SystemExit and the like too),
timed, counted, and said once a minute. A line says which function it was and where it failed, never what it
was called with.
"""

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from inspect import isasyncgen, isawaitable, isgenerator
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, cast

from moesifasgi.channel import Channel
from moesifasgi.policy.identity import UNKNOWN, Unknown
from moesifasgi.quiet import say
from moesifasgi.steps import OUT_OF_TIME, NoAnswer, Steps, contained, may_call

T = TypeVar("T")


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
        outcome = contained(self._call, *arguments) if may_call() else OUT_OF_TIME
        if isinstance(outcome.answer, _Later):
            outcome = yield outcome.answer.awaited
        if outcome.error is None:
            if monotonic() - begun > self._timeout_s:
                self._overran()
            outcome = contained(convert, outcome.answer)
        if outcome.error is None:
            return cast(T, outcome.answer)
        self._went_without(outcome.error)
        return UNKNOWN

    def _call(self, *arguments: object) -> object:
        # In a context of its own: what it sets there is not for the application to see.
        found = copy_context().run(self._function, *arguments)
        if isawaitable(found):
            return _Later(found)
        if isgenerator(found) or isasyncgen(found):
            # No line of the function has run; as an answer to SKIP it would be true.
            raise TypeError("a generator is no answer")
        return found

    def _overran(self) -> None:
        self._channel.counters.add("hook_overran")
        say(
            f"{self._key} overran",
            "%s took longer than HOOK_TIMEOUT (%g s), and nothing else ran meanwhile",
            self._key,
            self._timeout_s,
        )

    def _went_without(self, error: BaseException) -> None:
        key = self._key
        if isinstance(error, NoAnswer):
            self._channel.counters.add(error.reason)
            say(f"{key} {error.reason}", "%s: %s", key, _WHY[error.reason])
            return
        self._channel.counters.add("hook_failed")
        say(
            f"{key} failed", "%s failed: %s at %s", key, type(error).__name__, _innermost(error.__traceback__)
        )


class _Later(NamedTuple):
    """The function was asynchronous: this is to be awaited for its answer."""

    awaited: Awaitable[Any]


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

"""Steps: work on one event that may stop for an answer of the user's asynchronous functions.

They are a generator. What it yields is to be awaited; it goes on with the ``Outcome`` of that. So the steps
themselves know no event loop, and the usual ones, which never stop, cost no task. ``waiting`` runs them.

Whatever happens meanwhile, the steps come to their end: every answer that is still missing is then
``NoAnswer``, so an event leaves without it rather than not at all.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from inspect import GEN_CLOSED, getgeneratorstate, iscoroutine
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar


class Outcome(NamedTuple):
    """What became of a call of the user's: its answer, unless there is an error."""

    answer: Any = None
    error: BaseException | None = None


T = TypeVar("T")
Steps: TypeAlias = Generator[Awaitable[Any], Outcome, T]
NoAnswerReason: TypeAlias = Literal["hook_timed_out", "hook_crowded_out"]


class NoAnswer(Exception):
    """In place of an answer that nobody will wait for any more. ``reason`` is also its counter."""

    def __init__(self, reason: NoAnswerReason) -> None:
        super().__init__(reason)
        self.reason: NoAnswerReason = reason


OUT_OF_TIME = Outcome(error=NoAnswer("hook_timed_out"))
CROWDED_OUT = Outcome(error=NoAnswer("hook_crowded_out"))


def contained(function: Callable[..., Any], *arguments: object) -> Outcome:
    """Call what is the user's: nothing that it raises is raised here."""
    try:
        return Outcome(function(*arguments))
    except BaseException as error:  # noqa: BLE001  (sys.exit() in a hook must not end the server)
        return Outcome(error=error)


_may_call: ContextVar[bool] = ContextVar("moesifasgi_may_call", default=True)


def may_call() -> bool:
    """Whether there is time for another function of the user's; not once a shutdown is out of it."""
    return _may_call.get()


def stop_calling() -> None:
    """In this context no function of the user's is called any more."""
    _may_call.set(False)


def end(steps: Steps[None], missing: Outcome = OUT_OF_TIME, *, calling: bool = True) -> None:
    """Take the steps to their end, with ``missing`` for each answer that they still wait for.

    Not ``calling``: without another call of a user's function.
    """
    before = _may_call.set(calling and _may_call.get())
    try:
        with suppress(StopIteration):
            while is_unfinished(steps):
                discard(steps.send(missing))
    finally:
        _may_call.reset(before)


def is_unfinished(steps: Steps[None]) -> bool:
    return getgeneratorstate(steps) != GEN_CLOSED


def discard(awaited: Awaitable[Any]) -> None:
    """Nobody will await it: let go of it without a warning."""
    if iscoroutine(awaited):
        contained(awaited.close)
    elif isinstance(awaited, Future):
        awaited.cancel()
    else:
        # What it has inside may be a coroutine.
        contained(lambda: awaited.__await__().close())

"""Running steps: work on one event that may stop for an answer of the user's asynchronous functions.

Steps are a generator. What it yields is to be awaited; it goes on with the answer, or with an exception in
its place. So the steps themselves know no event loop, and the usual ones, which never stop, cost no task.

    nothing to await      done when ``run`` returns
    asyncio, uvloop       the rest is a task of its own, in a copy of the request's context
    any other (trio)      the rest is for the caller to await in place; no cancellation reaches it

Whatever happens to the task (time limit, shutdown, a loop that closes), the steps come to their end: every
answer that is still missing is then ``NoAnswer``, so an event leaves without it rather than not at all.
"""

import asyncio
import os
from collections.abc import Awaitable, Coroutine, Generator
from contextlib import suppress
from inspect import GEN_CLOSED, getgeneratorstate, iscoroutine
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Generator[Awaitable[Any], Any, T]
NoAnswerReason: TypeAlias = Literal["hook_timed_out", "hook_crowded_out"]

MAX_WAITING = 1000
"""Events of this process that may wait for asynchronous functions at once; each holds its bodies."""


class NoAnswer(Exception):
    """In place of an answer that nobody will wait for any more. ``reason`` is also its counter."""

    def __init__(self, reason: NoAnswerReason) -> None:
        super().__init__(reason)
        self.reason: NoAnswerReason = reason


class Waiting:
    """The events of this process whose steps wait for an answer."""

    def __init__(self, max_events: int = MAX_WAITING) -> None:
        self._max_events = max_events
        self._in_place: set[Steps[None]] = set()
        self._tasks: dict[asyncio.Task[None], Steps[None]] = {}
        self._parents: dict[asyncio.Task[None], Steps[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks) + len(self._in_place)

    def run(
        self, steps: Steps[None], timeout_s: float, *, in_place: bool = True
    ) -> Coroutine[Any, Any, None] | None:
        """Begin the steps. A coroutine that comes back is to be awaited at once, if ``in_place`` allows one.

        All that the steps have to wait for shares ``timeout_s`` seconds.
        """
        try:
            awaited = next(steps)
        except StopIteration:
            return None
        loop = _running_loop()
        crowded = len(self) >= self._max_events
        if crowded or (not in_place if loop is None else _is_closing(loop)):
            _discard(awaited)
            _end(steps, NoAnswer("hook_crowded_out" if crowded else "hook_timed_out"))
            return None
        if loop is None:
            return self._run_in_place(steps, awaited, timeout_s)
        task = loop.create_task(_complete(steps, awaited, timeout_s))
        self._tasks[task] = steps
        task.add_done_callback(lambda done: self._done(done, awaited))
        return None

    async def drain(self, timeout_s: float) -> None:
        """Wait for the tasks of the running loop; what is not done in time ends without its answers."""
        loop = _running_loop()
        own = {task: steps for task, steps in self._tasks.items() if task.get_loop() is loop}
        if own:
            _, late = await asyncio.wait(own, timeout=timeout_s)
            for task in late:
                _end(own[task], NoAnswer("hook_timed_out"))
                task.cancel()

    def start_afresh(self) -> None:
        """In a forked child: what waits is the parent's."""
        # Kept, for a pending task that is destroyed makes asyncio complain.
        self._parents = self._tasks
        self._tasks, self._in_place = {}, set()

    async def _run_in_place(self, steps: Steps[None], awaited: Awaitable[Any], timeout_s: float) -> None:
        self._in_place.add(steps)
        try:
            await _complete(steps, awaited, timeout_s)
        finally:
            self._in_place.discard(steps)

    def _done(self, task: asyncio.Task[None], first: Awaitable[Any]) -> None:
        steps = self._tasks.pop(task, None)
        if steps is not None and _is_unfinished(steps):
            # Cancelled before its first step: no line of it has run.
            _discard(first)
            _end(steps, NoAnswer("hook_timed_out"))


async def _complete(steps: Steps[None], awaited: Awaitable[Any], timeout_s: float) -> None:
    # Loaded here: only asynchronous functions need it.
    from anyio import current_time

    deadline = current_time() + timeout_s
    try:
        while True:
            answer, error = await _answered(awaited, deadline)
            awaited = steps.send(answer) if error is None else steps.throw(error)
    except StopIteration:
        return
    except BaseException:
        # The loop closes, or the task was cancelled: no waiting any more.
        _end(steps, NoAnswer("hook_timed_out"))
        raise


async def _answered(awaited: Awaitable[Any], deadline: float) -> tuple[Any, Exception | None]:
    from anyio import CancelScope

    try:
        with CancelScope(deadline=deadline, shield=True):
            return await awaited, None
    except Exception as error:  # noqa: BLE001  (the user's own; it is for the steps to contain)
        return None, error
    return None, NoAnswer("hook_timed_out")


def _end(steps: Steps[None], missing: NoAnswer) -> None:
    """Take the steps to their end, with ``missing`` for each answer that they still wait for."""
    with suppress(StopIteration):
        while _is_unfinished(steps):
            _discard(steps.throw(missing))


def _is_unfinished(steps: Steps[None]) -> bool:
    return getgeneratorstate(steps) != GEN_CLOSED


def _discard(awaited: Awaitable[Any]) -> None:
    """Nobody will await it: let go of it without a warning."""
    if iscoroutine(awaited):
        awaited.close()
    elif isinstance(awaited, asyncio.Future):
        awaited.cancel()


def _is_closing(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether ``asyncio.run`` is cancelling all that is left: a task made now would never be run."""
    current = asyncio.current_task(loop)
    if current is None or not current.cancelling():
        return False
    return all(task.cancelling() for task in asyncio.all_tasks(loop))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


waiting = Waiting()
"""All of this process."""
os.register_at_fork(after_in_child=waiting.start_afresh)

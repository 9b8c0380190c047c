"""Running steps: at once, or beside the request for as long as they wait for an answer.

    nothing to await      done when ``run`` returns
    asyncio, uvloop       the rest is a task of its own, in a copy of the request's context
    any other (trio)      the rest is for the caller to await in place; no cancellation reaches it

Whatever happens to the task (time limit, shutdown, a loop that closes), the steps come to their end.

On asyncio each answer is awaited in a further task. One that takes no cancellation is left behind there, and
what it raises, be it SystemExit, gets no further.
"""

import asyncio
import os
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar, cast

from moesifasgi.steps import (
    CROWDED_OUT,
    OUT_OF_TIME,
    Outcome,
    Steps,
    discard,
    end,
    is_unfinished,
    stop_calling,
)

T = TypeVar("T")
MAX_WAITING = 1000
"""Events of this process that may wait for asynchronous functions at once; each holds its bodies."""


class Waiting:
    """The events of this process whose steps wait for an answer."""

    def __init__(self, max_events: int = MAX_WAITING) -> None:
        self._max_events = max_events
        self._in_place: set[Steps[None]] = set()
        self._tasks: dict[asyncio.Task[None], Steps[None]] = {}
        self._left_behind: set[asyncio.Task[Outcome]] = set()
        self._limits: dict[asyncio.AbstractEventLoop, float] = {}
        self._gone: list[object] = []

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
        loop = running_loop()
        crowded = self._is_crowded()
        if crowded or (not in_place if loop is None else _is_closing(loop)):
            discard(awaited)
            end(steps, CROWDED_OUT if crowded else OUT_OF_TIME)
            return None
        if loop is None:
            return self._run_in_place(steps, awaited, timeout_s)
        task = loop.create_task(self._complete(steps, awaited, timeout_s))
        self._tasks[task] = steps
        task.add_done_callback(lambda done: self._done(done, awaited))
        return None

    async def complete(self, steps: Steps[T], timeout_s: float) -> T:
        """What the steps come to, for a request that has to wait for it.

        All that they wait for shares ``timeout_s`` seconds. If the request is cancelled, so is that.
        """
        try:
            awaited = next(steps)
            deadline = monotonic() + timeout_s
            while True:
                if self._is_crowded():
                    discard(awaited)
                    outcome = CROWDED_OUT
                else:
                    outcome = await self._answered_here(awaited, deadline - monotonic())
                awaited = steps.send(outcome)
        except StopIteration as last:
            return cast(T, last.value)
        finally:
            steps.close()

    async def drain(self, timeout_s: float) -> None:
        """Wait for the tasks of the running loop; what is not done in time ends without its answers, and
        without another call of a user's function.
        """
        self._bury()
        loop = running_loop()
        # A list: loops of other threads add to it meanwhile.
        own = {task: steps for task, steps in list(self._tasks.items()) if task.get_loop() is loop}
        if loop is None or not own:
            return
        self._limits[loop] = monotonic() + timeout_s
        try:
            _, late = await asyncio.wait(own, timeout=timeout_s)
            for task in late:
                end(own[task], calling=False)
                self._tasks.pop(task, None)
                task.cancel()
        finally:
            self._limits.pop(loop, None)

    def start_afresh(self) -> None:
        """In a forked child: what waits is the parent's."""
        # Kept, for a pending task that is destroyed makes asyncio complain.
        self._gone = [self._tasks, self._left_behind, *self._gone]
        self._tasks, self._in_place, self._left_behind, self._limits = {}, set(), set(), {}

    def _is_crowded(self) -> bool:
        # What was left behind is memory too, though no event waits for it.
        if len(self) + len(self._left_behind) < self._max_events:
            return False
        self._bury()
        return len(self) + len(self._left_behind) >= self._max_events

    def _bury(self) -> None:
        """End what waits in loops that were closed without cancelling their tasks."""
        for task in [task for task in list(self._tasks) if task.get_loop().is_closed()]:
            steps = self._tasks.pop(task, None)
            if steps is not None:
                self._gone.append(task)
                end(steps, calling=False)
        for left in [left for left in list(self._left_behind) if left.get_loop().is_closed()]:
            self._left_behind.discard(left)
            self._gone.append(left)

    async def _complete(self, steps: Steps[None], awaited: Awaitable[Any], timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while True:
                outcome = await self._answered(awaited, deadline - loop.time())
                if monotonic() > self._limits.get(loop, float("inf")):
                    stop_calling()
                awaited = steps.send(outcome)
        except StopIteration:
            return
        except BaseException:
            # The loop closes, or the task was cancelled: no waiting any more.
            end(steps)
            raise

    async def _answered(self, awaited: Awaitable[Any], timeout_s: float) -> Outcome:
        task = asyncio.get_running_loop().create_task(_awaited(awaited))
        task.add_done_callback(lambda done: self._answer_is_over(done, awaited))
        try:
            await asyncio.wait((task,), timeout=max(0.0, timeout_s))
        finally:
            if not task.done():
                self._leave_behind(task)
        return task.result() if _has_result(task) else OUT_OF_TIME

    async def _answered_here(self, awaited: Awaitable[Any], timeout_s: float) -> Outcome:
        if running_loop() is not None:
            return await self._answered(awaited, timeout_s)
        # Loaded here: only trio needs it.
        from anyio import move_on_after
        from anyio.lowlevel import checkpoint_if_cancelled

        with move_on_after(timeout_s) as limit:
            outcome = await _awaited(awaited)
        # The caller's own cancellation, which the answer has swallowed.
        await checkpoint_if_cancelled()
        return OUT_OF_TIME if limit.cancel_called and outcome.error is not None else outcome

    def _leave_behind(self, task: asyncio.Task[Outcome]) -> None:
        self._left_behind.add(task)
        with suppress(RuntimeError):  # the loop is closed already
            task.cancel()

    def _answer_is_over(self, task: asyncio.Task[Outcome], awaited: Awaitable[Any]) -> None:
        self._left_behind.discard(task)
        if task.cancelled():
            # Before its first step: nothing else is raised out of it.
            discard(awaited)

    async def _run_in_place(self, steps: Steps[None], awaited: Awaitable[Any], timeout_s: float) -> None:
        self._in_place.add(steps)
        try:
            await _complete_in_place(steps, awaited, timeout_s)
        finally:
            self._in_place.discard(steps)

    def _done(self, task: asyncio.Task[None], first: Awaitable[Any]) -> None:
        steps = self._tasks.pop(task, None)
        if steps is not None and is_unfinished(steps):
            # Cancelled before its first step: no line of it has run.
            discard(first)
            end(steps)


async def _complete_in_place(steps: Steps[None], awaited: Awaitable[Any], timeout_s: float) -> None:
    # Loaded here: only asynchronous functions need it.
    from anyio import CancelScope, current_time

    deadline = current_time() + timeout_s
    try:
        while True:
            outcome = OUT_OF_TIME
            with CancelScope(deadline=deadline, shield=True) as limit:
                found = await _awaited(awaited)
            if found.error is None or not limit.cancel_called:
                outcome = found
            awaited = steps.send(outcome)
    except StopIteration:
        return
    except BaseException:
        end(steps)
        raise


async def _awaited(awaited: Awaitable[Any]) -> Outcome:
    """As ``contained``. A coroutine of its own: where its caller is thrown away, that still hears of it."""
    try:
        return Outcome(await awaited)
    except BaseException as error:  # noqa: BLE001  (see ``contained``)
        return Outcome(error=error)


def _has_result(task: asyncio.Task[Outcome]) -> bool:
    return task.done() and not task.cancelled()


def _is_closing(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether ``asyncio.run`` is cancelling all that is left: a task made now would never be run."""
    current = asyncio.current_task(loop)
    if current is None or not current.cancelling():
        return False
    return all(task.cancelling() for task in asyncio.all_tasks(loop))


def running_loop() -> asyncio.AbstractEventLoop | None:
    """asyncio's, of this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


waiting = Waiting()
"""All of this process."""
os.register_at_fork(after_in_child=waiting.start_afresh)

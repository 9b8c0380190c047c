"""The read-ahead with a time limit: an application may have to answer before its client goes on.

What was read by then is replayed, and the receive that is under way is not lost: cancelled halfway it could
take a message with it. On asyncio it goes on as a task, for the application's next receive. On trio a receive
that is cancelled has taken nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable

from moesifasgi.enforcement.read_ahead import ReadAhead
from moesifasgi.exchange import Message

Receive = Callable[[], Awaitable[Message]]


class TimedRead:
    """Stands in the application's ``receive``. ``close`` it when the application has returned."""

    __slots__ = ("_ahead", "_task")

    def __init__(self, receive: Receive) -> None:
        self._ahead = ReadAhead(receive)
        self._task: asyncio.Task[bytes | None] | None = None

    async def body(self, limit_bytes: int, timeout_s: float) -> bytes | None:
        """The whole body. None if it is longer than the limit, or not here in time, or ends too early."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Loaded here: only trio needs it.
            from anyio import move_on_after

            with move_on_after(timeout_s):
                return await self._ahead.body(limit_bytes)
            return None
        task = self._task = loop.create_task(self._ahead.body(limit_bytes))
        try:
            await asyncio.wait((task,), timeout=timeout_s)
        except BaseException:
            task.cancel()
            raise
        if task.done():
            self._task = None
            return task.result()
        self._ahead.stop()
        return None

    async def receive(self) -> Message:
        """What was read already, as it came; then what is under way; then the server's."""
        task = self._task
        if task is not None and not self._ahead.has_messages:
            # Unlike `await task`, this may be cancelled without an effect on the receive.
            await asyncio.wait((task,))
            self._task = None
            task.result()
        return await self._ahead.receive()

    def close(self) -> None:
        """Nobody will ask for what is under way any more, nor for how it failed."""
        if self._task is not None:
            self._task.cancel()

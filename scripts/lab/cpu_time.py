"""How long a middleware holds up its event loop at a time, in CPU time: what a busy machine does not change.

The clock runs while control is the middleware's: not in the application, not in the server's ``receive`` and
``send``, and not while anything waits. Of requests only, and of one at a time.
"""

from collections.abc import Awaitable, Callable
from time import thread_time
from typing import Any

App = Callable[..., Awaitable[None]]
Passage = Callable[..., Awaitable[Any]]


class CpuTime:
    """``longest_s`` is the longest stretch so far."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._began = 0.0

    def of(self, wrap: Callable[[App], App], app: App) -> App:
        """``app`` with ``wrap`` around it, and the clock around that."""

        async def outer(scope: Any, receive: Passage, send: Passage) -> None:
            if scope["type"] != "http":
                await wrap(app)(scope, receive, send)
                return
            await self._inside(middleware)(scope, self._outside(receive), self._outside(send))

        async def inner(scope: Any, receive: Passage, send: Passage) -> None:
            await self._outside(app)(scope, self._inside(receive), self._inside(send))

        middleware = wrap(inner)
        return outer

    def _inside(self, passage: Passage) -> Passage:
        async def timed(*arguments: Any) -> Any:
            self._start()
            try:
                return await passage(*arguments)
            finally:
                self._stop()

        return timed

    def _outside(self, passage: Passage) -> Passage:
        async def untimed(*arguments: Any) -> Any:
            self._stop()
            try:
                return await passage(*arguments)
            finally:
                self._start()

        return untimed

    def _start(self) -> None:
        self._began = thread_time()

    def _stop(self) -> None:
        self.longest_s = max(self.longest_s, thread_time() - self._began)

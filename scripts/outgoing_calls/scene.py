"""Where a feature is tried: an API to call, and a worker that may or may not record the calls."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

from lab.one_worker import HOOKS_END_S, OneWorker
from lab.upstream import Upstream

from moesifasgi import MoesifMiddleware
from moesifasgi.outgoing.capture import stop
from moesifasgi.outgoing.dropped import record_dropped
from moesifasgi.waiting import waiting


class Scene:
    def __init__(self, api: Upstream, directory: Path) -> None:
        self.api = api
        self.worker = OneWorker(directory)

    def url(self, path: str) -> str:
        return self.api.url + path

    def capture(self, app: Any = None, **settings: Any) -> MoesifMiddleware:
        """From here on calls are recorded."""
        return self.worker.wrap(app, **{"CAPTURE_OUTGOING_REQUESTS": True, **settings})

    async def events(self) -> list[dict[str, Any]]:
        """What was recorded so far, with the answers of asynchronous functions."""
        record_dropped()
        await waiting.drain(HOOKS_END_S)
        assert self.worker.difference == 0
        return self.worker.events

    async def event(self) -> dict[str, Any]:
        (only,) = await self.events()
        return only


@contextmanager
def scene(api: Upstream, directory: Path) -> Iterator[Scene]:
    """At its end nothing is recorded any more, and every event has had its fate."""
    made = Scene(api, directory)
    try:
        yield made
    finally:
        stop()
    assert made.worker.difference == 0


async def outcome(doing: Awaitable[Any]) -> Any:
    """What comes of it: an answer, or an exception as its class and text."""
    try:
        return await doing
    except Exception as error:  # noqa: BLE001  (that is what is asked for)
        return type(error), _without_numbers(str(error))


async def first(parts: AsyncIterator[bytes]) -> bytes:
    """The first part; the rest is left."""
    async with aclosing(parts) as opened:  # type: ignore[type-var]
        return await anext(opened)


async def every(parts: AsyncIterator[bytes]) -> list[bytes]:
    return [part async for part in parts]


def _without_numbers(text: str) -> str:
    """Ports and addresses of objects differ from one run to the next."""
    return "".join(character for character in text if not character.isdigit() and character not in "abcdef")

"""The campaign's application on a queue. ``/die`` kills its worker while it puts that call's event there.

For ``gunicorn --preload``: this module is imported in the master, which starts the shipper.
"""

import os
import signal
from collections.abc import Awaitable, Callable

from application import Message, answer

from moesifasgi import MoesifMiddleware, start_shipper
from moesifasgi.channel.queue import Writer
from moesifasgi.wire.pieces import MAX_PIECE_BYTES

LONG_ANSWER = b"x" * 60_000
"""Its event takes more than ten pieces."""


class DyingWriter:
    """A queue's write end that kills its process, once told to, behind a piece that others have to follow."""

    def __init__(self, writer: Writer) -> None:
        self.dies = False
        self._writer = writer
        self.fileno = writer.fileno
        self.close = writer.close

    def send_bytes(self, buf: bytes) -> None:
        self._writer.send_bytes(buf)
        if self.dies and len(buf) == MAX_PIECE_BYTES:
            os.kill(os.getpid(), signal.SIGKILL)


handle = start_shipper()
assert handle.writer is not None
writer = handle.writer = DyingWriter(handle.writer)


async def answer_or_die(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope.get("path") != "/die":
        await answer(scope, receive, send)
        return
    writer.dies = True
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": LONG_ANSWER})


app = MoesifMiddleware(answer_or_die, settings={"TRANSPORT": "queue", "SHIPPER": handle})

"""A subject's end of the pipe: counts come in on standard input, costs go out on standard output."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

SETTLE_S = 0.05
"""What comes after the last unit (acknowledgements, say) belongs to the turn as well."""


def _nothing() -> dict[str, int]:
    return {}


async def take_turns(
    work: Callable[[int], Awaitable[None]], more: Callable[[], dict[str, int]] = _nothing
) -> None:
    """Do ``work`` of the count in each line, and answer its CPU time in all threads, until the input ends.

    ``more`` goes into the answer too.

    The loop runs between turns, so nothing that lives on it is kept from its business.
    """
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        began = time.process_time()
        await work(int(line))
        await asyncio.sleep(SETTLE_S)
        cost = {"cpu_s": time.process_time() - began}
        sys.stdout.write(json.dumps({**cost, **more()}) + "\n")
        sys.stdout.flush()

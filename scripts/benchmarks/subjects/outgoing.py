"""Subject: calls of requests to another API, recorded under one variant or not at all.

python -m benchmarks.subjects.outgoing VARIANT URL [SETTINGS]
"""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from benchmarks.subjects.turns import take_turns


def bare(settings: dict[str, Any]) -> None:
    """Nothing is recorded."""


def ours(settings: dict[str, Any]) -> None:
    from moesifasgi import MoesifMiddleware

    MoesifMiddleware(settings={**settings, "CAPTURE_OUTGOING_REQUESTS": True})


def published(settings: dict[str, Any]) -> None:
    from moesifapi.moesif_api_client import Configuration
    from moesifpythonrequest.start_capture.start_capture import StartCapture

    # Its own setting for this prints whatever it does, which would be measured too.
    Configuration.BASE_URI = settings["BASE_URI"]
    StartCapture().start_capture_outgoing(settings)


VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "bare": bare,
    "ours": ours,
    "published": published,
}


class Threads:
    """How many are started."""

    def __init__(self) -> None:
        self.started = 0
        start = threading.Thread.start

        def counted(thread: threading.Thread) -> None:
            self.started += 1
            start(thread)

        threading.Thread.start = counted  # type: ignore[method-assign]  # that is how it is counted

    def take(self) -> dict[str, int]:
        """The number since the last time."""
        started, self.started = self.started, 0
        return {"threads": started}


async def main(variant: str, url: str, settings: str = "{}") -> None:
    # Before the library is patched, as an application that names its functions would.
    import requests

    VARIANTS[variant](json.loads(settings))
    session = requests.Session()
    threads = Threads()

    async def call(count: int) -> None:
        for _ in range(count):
            answer = session.post(url, json={"name": "desk lamp", "amount": 12}, timeout=30)
            if answer.status_code != 200:
                raise RuntimeError(f"the API answered {answer.status_code}")
        # What is left to threads belongs to this turn.
        for thread in threading.enumerate():
            if thread.name.startswith("Thread-"):
                thread.join()

    await take_turns(call, threads.take)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

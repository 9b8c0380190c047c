"""Threads for blocking requests. They are daemons, so that none holds up the exit of the process."""

import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]
"""Must not raise."""


class UploadThreads:
    """As many threads as jobs were ever under way at once. Used by one thread."""

    def __init__(self, name: str = "moesif-upload") -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = 0

    def run(self, job: Job, in_flight: int) -> None:
        """Run the job on a thread of its own. ``in_flight``: jobs under way, this one included."""
        self._jobs.put(job)
        if in_flight > self._threads:
            self._threads += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end after their current jobs. May be called twice."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

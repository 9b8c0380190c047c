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
        """Run the job on a thread of its own. ``in_flight``: jobs under way, this one included.

        Where the system grants no more threads it waits for one that is there; RuntimeError if none is, and
        the job is not run.
        """
        if in_flight > self._threads:
            self._add_thread()
        self._jobs.put(job)

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._threads + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads += 1

    def close(self) -> None:
        """Let the threads end after their current jobs. May be called twice."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

"""Load at a steady rate that remembers which requests were answered: their ids are what must arrive."""

import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

TRANSACTION_HEADER = "X-Moesif-Transaction-Id"
BODY = b'{"order": 4711, "note": "' + b"n" * 200 + b'"}'
TIMEOUT_S = 10.0


class SteadyLoad(threading.Thread):
    """``per_second`` requests over ``connections``, until ``stop``; ``answered`` has the answers' ids."""

    def __init__(self, url: str, per_second: float, connections: int = 8, body: bytes = BODY) -> None:
        super().__init__(daemon=True)
        self.answered: set[str] = set()
        self.answers = 0
        """However they were marked."""
        self.failed = 0
        self.longest_s = 0.0
        """That an answer took."""
        self._body = body
        self._address = urlsplit(url).netloc
        self._interval_s = connections / per_second
        self._connections = connections
        self._stopping = threading.Event()

    def run(self) -> None:
        threads = [threading.Thread(target=self._call, daemon=True) for _ in range(self._connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        """End the load and wait for the requests under way."""
        self._stopping.set()
        self.join()

    def _call(self) -> None:
        connection = HTTPConnection(self._address, timeout=TIMEOUT_S)
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval_s, time.monotonic() - 1.0)
            began = time.monotonic()
            try:
                connection.request("POST", "/orders", self._body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                self.answers += 1
                if (made := answer.headers[TRANSACTION_HEADER]) is not None:
                    self.answered.add(made)
            except (OSError, HTTPException):
                self.failed += 1
                with suppress(OSError):
                    connection.close()
        connection.close()

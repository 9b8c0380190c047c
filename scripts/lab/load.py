"""A load generator on kept-alive connections, and the mix of requests that the example application answers.

It reports what a client can know: the status of each answer, the transaction ids that came with them, and the
requests that got no answer. Dropped connections are counted and the load goes on.
"""

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

TRANSACTION_HEADER = "X-Moesif-Transaction-Id"
REQUEST_TIMEOUT_S = 30.0


class Call(NamedTuple):
    """One request of the mix."""

    method: str
    path: str
    body: bytes | None = None
    signed_in: bool = False
    """Whether it carries the token of the connection's last login."""


_READ = Call("GET", "/items/1")
_WRITE = Call("POST", "/items", b'{"name": "lamp", "price": 12.5, "tags": ["new", "on sale"]}')
_LOGIN = Call("POST", "/login", b'{"user": "ada", "password": "hunter2"}')
_ME = Call("GET", "/me", signed_in=True)
MIX = (
    *(_READ, _WRITE, _LOGIN, _ME, _READ),
    *(Call("GET", "/stream"), _WRITE, Call("GET", "/items/9999"), _READ, Call("GET", "/boom")),
)
"""Ten requests in this order on each connection: 3 GET, 2 POST, 1 login, 1 signed in, 1 stream of 20 chunks,
1 not found (404), 1 exception (500)."""


@dataclass(slots=True)
class LoadResult:
    """What the clients saw. ``answered + len(failures)`` is the number of requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    transaction_ids: list[str] = field(default_factory=list)
    """Of the answers that carried one: not of those that the server made itself after an exception."""
    failures: list[str] = field(default_factory=list)
    """One line for each request without a complete answer; the application may have seen it or not."""

    @property
    def answered(self) -> int:
        return self.statuses.total()


class _Tally:
    """The result, and the lock that lets all clients write to it."""

    def __init__(self, on_progress: Callable[[int], None] | None) -> None:
        self.result = LoadResult()
        self._lock = threading.Lock()
        self._on_progress = on_progress

    def answered(self, status: int, transaction_id: str | None) -> None:
        with self._lock:
            self.result.statuses[status] += 1
            if transaction_id:
                self.result.transaction_ids.append(transaction_id)
            self._report()

    def failed(self, call: Call, error: Exception) -> None:
        with self._lock:
            self.result.failures.append(f"{call.method} {call.path}: {type(error).__name__}: {error}")
            self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.result.answered + len(self.result.failures))


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=REQUEST_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(REQUEST_TIMEOUT_S)
        self.sock.connect(str(self._path))


class _Client:
    """One connection, reopened after it was dropped, and the token of its last login."""

    def __init__(self, url: str, uds: Path | None, tally: _Tally) -> None:
        parts = urlsplit(url)
        address = parts.hostname or "localhost", parts.port
        self._connection = (
            _UnixConnection(uds) if uds else HTTPConnection(*address, timeout=REQUEST_TIMEOUT_S)
        )
        self._tally = tally
        self._token: str | None = None

    def run(self, count: int) -> None:
        try:
            for position in range(count):
                self._call(MIX[position % len(MIX)])
        finally:
            self._connection.close()

    def _call(self, call: Call) -> None:
        try:
            response, body = self._exchange(call)
        except (OSError, HTTPException) as error:
            self._connection.close()
            self._tally.failed(call, error)
            return
        if response.status >= 500:
            # uvicorn drops the connection after an exception without saying so in the answer; a request on
            # it would be lost or not, as the race has it.
            self._connection.close()
        if call is _LOGIN and response.status == 200:
            self._token = json.loads(body)["access_token"]
        self._tally.answered(response.status, response.getheader(TRANSACTION_HEADER))

    def _exchange(self, call: Call) -> tuple[HTTPResponse, bytes]:
        headers = {"Accept": "application/json", "User-Agent": "moesif-lab"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.signed_in and self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._connection.request(call.method, call.path, call.body, headers)
        response = self._connection.getresponse()
        return response, response.read()


def send_mix(
    url: str,
    count: int,
    concurrency: int = 8,
    on_progress: Callable[[int], None] | None = None,
    uds: Path | None = None,
) -> LoadResult:
    """Make ``count`` requests of ``MIX`` over ``concurrency`` connections, and tell what came back.

    Each connection walks through the mix from its start. ``on_progress`` gets the number of requests done
    after each, from the clients' threads, one at a time.
    """
    tally = _Tally(on_progress)
    share, rest = divmod(count, concurrency)
    shares = [share + (index < rest) for index in range(concurrency)]
    with ThreadPoolExecutor(concurrency) as pool:
        for future in [pool.submit(_Client(url, uds, tally).run, size) for size in shares if size]:
            future.result()
    return tally.result

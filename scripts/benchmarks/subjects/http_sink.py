"""Subject: a collector that takes everything, as cheaply as can be, and counts.

    python -m benchmarks.subjects.http_sink PORT [DELAY_S]

Each line of its input is answered with what came since the last one: bytes on the wire (request lines and
headers included), requests, events, and when the first and the last came.
"""

import socketserver
import sys
import threading
import time
import zlib
from typing import Any

from benchmarks.subjects.lines import answer_lines

_ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_EVENT_MARK = b'"transaction_id":'


class Counts:
    """Since the last look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def add(self, size: int, body: bytes) -> None:
        now = time.monotonic()
        events = zlib.decompress(body, 31).count(_EVENT_MARK) if body[:2] == b"\x1f\x8b" else 0
        with self._lock:
            self._bytes, self._requests, self._events = (
                self._bytes + size,
                self._requests + 1,
                self._events + events,
            )
            self._first, self._last = self._first or now, now

    def look(self) -> dict[str, Any]:
        with self._lock:
            seen = {"bytes": self._bytes, "requests": self._requests, "events": self._events}
            seen["seconds"] = self._last - self._first
            self._forget()
        return seen

    def _forget(self) -> None:
        self._bytes = self._requests = self._events = 0
        self._first = self._last = 0.0


class Handler(socketserver.StreamRequestHandler):
    """One connection, kept alive."""

    counts: Counts
    delay_s = 0.0

    def handle(self) -> None:
        while head := self._head():
            length = next((int(line[15:]) for line in head if line.lower().startswith(b"content-length:")), 0)
            body = self.rfile.read(length)
            if head[0].startswith(b"POST"):
                self.counts.add(sum(map(len, head)) + length, body)
            time.sleep(self.delay_s)
            self.wfile.write(_ANSWER)

    def _head(self) -> list[bytes]:
        lines = []
        while (line := self.rfile.readline()) not in (b"", b"\r\n"):
            lines.append(line)
        return lines


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main(port: str, delay_s: str = "0") -> None:
    Handler.counts, Handler.delay_s = Counts(), float(delay_s)
    with Server(("127.0.0.1", int(port)), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer_lines(lambda _: Handler.counts.look())
        server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])

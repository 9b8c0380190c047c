"""An API that applications under test call: on a thread of the test's own process, or a process by itself.

python -m lab.upstream        prints its URL, serves until its input ends

/echo             what it was asked, as JSON
/status/418       that status, with a short text
/redirect/307     to /echo
/cookies          two cookies
/gzip             JSON in gzip
/parts/5          five parts of a chunked response
/bytes/1000000    so many bytes
/endless          a part, and no end as long as the client listens
/broken           less than it announces
/reset            no answer, the connection is closed
/slow             no answer in time

It also plays a proxy, which answers by itself whatever host it is asked for.
"""

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

BLOCK = bytes(range(256)) * 256
PATIENCE_S = 10.0
"""How long a request waits that is not to be answered; its client gives up before."""


class Seen(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class Upstream:
    """The running API."""

    def __init__(self, server: "_Server") -> None:
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_port}"

    @property
    def seen(self) -> list[Seen]:
        """All requests so far."""
        return self._server.seen


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.ending = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Small answers are not to wait for acknowledgements.
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def answer(self) -> None:
        body = self._body()
        self.server.seen.append(Seen(self.command, self.path, self.headers.items(), body))
        what, _, argument = urlsplit(self.path).path.lstrip("/").partition("/")
        getattr(self, f"_{what}")(argument, body)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_OPTIONS = answer

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _say(self, status: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _echo(self, argument: str, body: bytes) -> None:
        asked = {"method": self.command, "path": self.path, "body": body.decode("latin-1")}
        self._say(200, json.dumps(asked).encode(), ("Content-Type", "application/json"))

    def _status(self, argument: str, body: bytes) -> None:
        self._say(int(argument), b"as you like", ("Content-Type", "text/plain"))

    def _redirect(self, argument: str, body: bytes) -> None:
        self._say(int(argument), b"elsewhere", ("Location", "/echo?again=1"))

    def _cookies(self, argument: str, body: bytes) -> None:
        self._say(200, b"{}", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))

    def _gzip(self, argument: str, body: bytes) -> None:
        packed = gzip.compress(b'{"packed": true}')
        self._say(200, packed, ("Content-Type", "application/json"), ("Content-Encoding", "gzip"))

    def _parts(self, argument: str, body: bytes) -> None:
        self._begin_chunked()
        for number in range(int(argument)):
            self._chunk(b"part %d;" % number)
        self.wfile.write(b"0\r\n\r\n")

    def _bytes(self, argument: str, body: bytes) -> None:
        left = int(argument)
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left:
            left -= self.wfile.write(BLOCK[:left])

    def _endless(self, argument: str, body: bytes) -> None:
        self._begin_chunked()
        self._chunk(b"first")
        self._wait()

    def _broken(self, argument: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"ten bytes.")
        self.close_connection = True

    def _reset(self, argument: str, body: bytes) -> None:
        self.close_connection = True

    def _slow(self, argument: str, body: bytes) -> None:
        self._wait()

    def _wait(self) -> None:
        self.wfile.flush()
        self.server.ending.wait(PATIENCE_S)
        self.close_connection = True

    def _begin_chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


@contextmanager
def upstream() -> Iterator[Upstream]:
    """It serves until the block ends."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="upstream")
        thread.start()
        try:
            yield Upstream(server)
        finally:
            server.ending.set()
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with upstream() as served:
        print(served.url, flush=True)
        sys.stdin.read()

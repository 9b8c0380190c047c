"""What stands before a collector in production: it ends TLS, refuses what it does not like, is far away."""

import gzip
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import urlsplit

from moesifasgi.inspector import Collector

TIMEOUT_S = 10.0
PIECE_BYTES = 16 * 1024
_HOP_BY_HOP = ("connection", "server", "date")
Verdict = Callable[[bytes], int | None]
"""From an upload's plain body to the status that it is refused with; None: it passes."""


def passes(body: bytes) -> None:
    """The verdict of who refuses nothing."""


class Front:
    """A reverse proxy; serves from the ``with`` on.

    ``tls``: its certificate; None: plain HTTP. ``max_body_bytes``: of a body as it comes. ``bytes_a_second``:
    what the way to it takes.
    """

    def __init__(
        self,
        collector: Collector,
        *,
        tls: ssl.SSLContext | None = None,
        max_body_bytes: int = 1 << 30,
        verdict: Verdict = passes,
        bytes_a_second: float = float("inf"),
    ) -> None:
        handler = _handler(collector.url, max_body_bytes, verdict, bytes_a_second)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            # The handshake is for the connection's own thread, not for the one that accepts.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="front")

    @property
    def url(self) -> str:
        return f"{self._scheme}://localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(
    url: str, max_body_bytes: int, verdict: Verdict, bytes_a_second: float
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = TIMEOUT_S

        def do_POST(self) -> None:
            """Pass it on, or refuse it; the base class calls this by the method's name."""
            body = _read(self.rfile, int(self.headers.get("Content-Length", 0)), bytes_a_second)
            refused = 413 if len(body) > max_body_bytes else verdict(_plain(body))
            if refused is not None:
                self.send_error(refused)
                return
            with closing(HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)) as connection:
                connection.request(self.command, self.path, body, dict(self.headers))
                self._pass_back(connection.getresponse())

        do_GET = do_POST

        def _pass_back(self, answer: HTTPResponse) -> None:
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            """Requests until the client leaves, which it may do inside a handshake."""
            try:
                super().handle()
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """The collector behind counts."""

    return Handler


def _read(stream: BinaryIO, size: int, bytes_a_second: float) -> bytes:
    pieces = []
    while size and (piece := stream.read(min(size, PIECE_BYTES))):
        pieces.append(piece)
        size -= len(piece)
        time.sleep(len(piece) / bytes_a_second)
    return b"".join(pieces)


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body

"""What a monitor is told, and how: figures and no event, in a few connections at once, a few seconds each."""

import contextlib
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from moesifasgi.shipper.deadline import Deadlines
from moesifasgi.shipper.metrics import CONTENT_TYPE, Metrics
from moesifasgi.shipper.socket_place import SocketPlace

MAX_CALLERS = 8
"""Connections at once; one more is closed unanswered."""
CALLER_S = 2.5
"""From accepting a connection to its end."""
LOOK_EVERY_S = 1.0
"""How often it sees to its name in the file system."""
SOCKET_MODE = 0o660

Ask = Callable[[], Mapping[str, Any] | None]
"""For the status document, from any thread; None: the shipper does not answer."""


class Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    """Over a socket that listens already, of either family."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, metrics: Metrics, place: SocketPlace | None) -> None:
        super().__init__(listener.getsockname(), _Handler)
        self.metrics = metrics
        self.ask: Ask = lambda: None
        self.socket = listener
        self._name = place
        self._look_at = 0.0
        self._places = threading.BoundedSemaphore(MAX_CALLERS)
        self._deadlines = Deadlines()

    def fileno(self) -> int:
        return self.socket.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._places.acquire(blocking=False)

    def service_actions(self) -> None:
        """Called between two callers, and as often as it polls."""
        if self._name is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_EVERY_S
        if (made := self._name.look(SOCKET_MODE, None)) is not None:
            with made:
                # Under the descriptor that is polled already.
                os.dup2(made.fileno(), self.fileno(), inheritable=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread began, which would have given it back.
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            with self._deadlines.limit(CALLER_S) as limit:
                limit.attach(request)
                super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that goes away is no fault worth a line."""

    def server_close(self) -> None:
        self._deadlines.close()
        self.socket.close()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path not in ("/metrics", "/healthz"):
            self._answer(HTTPStatus.NOT_FOUND, "there are /metrics and /healthz\n")
        elif (document := self.server.ask()) is None:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "UNHEALTHY\nthe shipper does not answer\n")
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.metrics.text(document), CONTENT_TYPE)
        else:
            self._answer(*health_page(document))

    def _answer(self, status: HTTPStatus, body: str | bytes, kind: str = "text/plain; charset=utf-8") -> None:
        encoded = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def version_string(self) -> str:
        return "moesif-shipper"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name of the base class)
        """Nothing is logged for each request."""


def health_page(document: Mapping[str, Any]) -> tuple[HTTPStatus, str]:
    """200 or 503, and why, each reason with what to do about it."""
    notes = [f"note: {note}" for note in document["notes"]]
    if document["healthy"]:
        return HTTPStatus.OK, "\n".join(["healthy", *notes, ""])
    told = zip(document["reasons"], document["advice"], strict=True)
    reasons = [f"{reason}; {advice}" for reason, advice in told]
    return HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(["UNHEALTHY", *reasons, *notes, ""])

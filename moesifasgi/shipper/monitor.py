"""The page for monitors: ``/metrics`` and ``/healthz`` over HTTP, on a loopback address or a Unix socket.

It is off unless asked for, tells figures and no event, and bounds what a caller can cost: a few connections
at once, a few seconds each.
"""

import contextlib
import errno
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from moesifasgi.quiet import say
from moesifasgi.shipper.deadline import Deadlines
from moesifasgi.shipper.health import Reason
from moesifasgi.shipper.metrics import CONTENT_TYPE, Metrics
from moesifasgi.shipper.monitor_address import MetricsUnavailable, MonitorAddress
from moesifasgi.shipper.socket_place import SocketPlace
from moesifasgi.unix_socket import answers, refuse_place

MAX_CALLERS = 8
"""Connections at once; one more is closed unanswered."""
CALLER_S = 2.5
"""From accepting a connection to its end."""
POLL_S = 0.1
"""How soon the server sees that it is to end."""
LOOK_EVERY_S = 1.0
"""How often it sees to its name in the file system."""
SOCKET_MODE = 0o660

Ask = Callable[[], Mapping[str, Any] | None]
"""For the status document, from any thread; None: the shipper does not answer."""


class Monitor:
    """Serves from ``start`` to ``close``."""

    def __init__(self, address: MonitorAddress, metrics: Metrics) -> None:
        """Callers can connect from now on. MetricsUnavailable where nobody can listen there."""
        self._place = None if address.path is None else _Place(address.path, None)
        with _unavailable(address):
            listener = _listening(address, self._place)
        self._server = _Server(listener, metrics, self._place)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="moesif-monitor", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that the system chose where 0 was asked for; 0 of a Unix socket."""
        return 0 if self._place else int(self._server.socket.getsockname()[1])

    @property
    def reasons(self) -> list[Reason]:
        """Why monitors do not find it; empty if they do."""
        return [] if self._place is None else self._place.reasons

    def start(self, ask: Ask) -> None:
        """Answer by what ``ask`` says."""
        self._server.ask = ask
        self._thread.start()

    def close(self) -> None:
        """May be called twice, and before ``start``."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(CALLER_S)
        self._server.server_close()
        if self._place is not None:
            try:
                self._place.leave()
            except OSError as error:
                say("metrics socket", "cannot take the socket for metrics away: %s", error)
        # What stands under this name from now on is a successor's.
        self._place = None


class _Place(SocketPlace):
    """The name that monitors find it by."""

    def _tell(self, fault: str) -> None:
        self._fault = fault
        say("metrics socket", "%s: monitors do not come here", fault)


def answers_at(address: MonitorAddress) -> bool:
    """Whether somebody listens there."""
    if address.path is not None:
        return answers(address.path, CALLER_S)
    try:
        socket.create_connection((address.host, address.port), CALLER_S).close()
    except OSError:
        return False
    return True


def refuse_address(address: MonitorAddress) -> None:
    """MetricsUnavailable where a Monitor could not listen. Changes nothing."""
    with _unavailable(address):
        if address.path is None:
            _bound(address).close()
            return
        _refuse_taken(address.path)
        if not os.access(address.path.parent, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, f"expected {address.path.parent} to be a directory to write to")


@contextlib.contextmanager
def _unavailable(address: MonitorAddress) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise MetricsUnavailable(f"cannot listen for metrics on {address}: {why}") from error


def _listening(address: MonitorAddress, place: SocketPlace | None) -> socket.socket:
    if address.path is not None and place is not None:
        _refuse_taken(address.path)
        return place.listener(SOCKET_MODE, None)
    made = _bound(address)
    made.listen()
    return made


def _refuse_taken(path: Path) -> None:
    refuse_place(path)
    if answers(path, CALLER_S):
        raise OSError(errno.EADDRINUSE, "somebody else listens there")


def _bound(address: MonitorAddress) -> socket.socket:
    """Until it listens it is in nobody's way: others can be bound to the same address."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        # The connections of the shipper before may still be known to the kernel.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.host, address.port))
    except BaseException:
        made.close()
        raise
    return made


class _Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
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
    server: _Server

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

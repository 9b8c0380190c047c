"""The page for monitors: ``/metrics`` and ``/healthz`` over HTTP, on a loopback address or a Unix socket.

It is off unless asked for. What it tells, and what a caller can cost, is in ``monitor_page``.
"""

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from moesifasgi.quiet import say
from moesifasgi.shipper.health import Reason
from moesifasgi.shipper.metrics import Metrics
from moesifasgi.shipper.monitor_address import MetricsUnavailable, MonitorAddress
from moesifasgi.shipper.monitor_page import CALLER_S, SOCKET_MODE, Ask, Server
from moesifasgi.shipper.socket_place import SocketPlace
from moesifasgi.unix_socket import answers, refuse_place

POLL_S = 0.1
"""How soon the server sees that it is to end."""


class Monitor:
    """Serves from ``start`` to ``close``."""

    def __init__(self, address: MonitorAddress, metrics: Metrics) -> None:
        """Callers can connect from now on. MetricsUnavailable where nobody can listen there."""
        self._place = None if address.path is None else _Place(address.path, None)
        with _unavailable(address):
            listener = _listening(address, self._place)
        self._server = Server(listener, metrics, self._place)
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
            self._place.leave()
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


def refuse_address(address: MonitorAddress, made: Path | None = None) -> None:
    """MetricsUnavailable where a Monitor could not listen. Changes nothing.

    ``made``: a directory that will be made before, if it can be.
    """
    with _unavailable(address):
        if address.path is None:
            _bound(address).close()
            return
        _refuse_taken(address.path)
        directory = address.path.parent
        if directory == made and not directory.exists():
            directory = directory.parent
        if not os.access(directory, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, f"expected {directory} to be a directory to write to")


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

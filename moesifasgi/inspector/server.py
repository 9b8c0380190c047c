"""The listening socket, its open connections, and how all of it ends."""

import logging
import os
import socket
import struct
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from moesifasgi.inspector.behaviour import Script
from moesifasgi.inspector.contract import Contract
from moesifasgi.inspector.control import Control
from moesifasgi.inspector.store import Store

_LOGGER = logging.getLogger(__name__)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""
_CLOSE_TIMEOUT_S = 5.0


class Server(ThreadingHTTPServer):
    """One thread a connection; knows them all, so that closing releases each."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        connection: type[BaseHTTPRequestHandler],
        contract: Contract,
        control: Control,
        script: Script,
        store: Store,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.contract = contract
        self.control = control
        self.script = script
        self.store = store
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_changed = threading.Condition()
        super().__init__(address, connection)

    def server_bind(self) -> None:
        # The base class looks its own name up, which can take seconds where there is no resolver.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # AF_UNIX's may be bytes

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._open_changed:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._open_changed:
            self._open.discard(request)
            self._open_changed.notify_all()
        super().shutdown_request(request)

    def reset(self, connection: socket.socket) -> None:
        """Close at once and tell the client so with a RST instead of a FIN."""
        with self._open_changed:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            # close() would wait for the files that were made from the socket.
            os.close(connection.detach())

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            _LOGGER.error("a connection to the inspector ended", exc_info=error)

    def close(self) -> None:
        """Stop accepting, release whoever waits, and wait until all connections are gone."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._open_changed:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._open_changed.wait_for(lambda: not self._open, _CLOSE_TIMEOUT_S)

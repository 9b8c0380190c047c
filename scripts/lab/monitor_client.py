"""A monitor of a shipper: one request to its page, over a Unix socket or TCP."""

import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

ANSWER_S = 10.0


class Page(NamedTuple):
    status: int
    kind: str
    text: str


def ask(address: Path | tuple[str, int], path: str) -> Page:
    """OSError where nobody answers."""
    connection = HTTPConnection("localhost", timeout=ANSWER_S)
    connection.sock = _connected(address)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Page(response.status, response.getheader("Content-Type", ""), response.read().decode())
    finally:
        connection.close()


def _connected(address: Path | tuple[str, int]) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, ANSWER_S)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(ANSWER_S)
    try:
        made.connect(str(address))
    except OSError:
        made.close()
        raise
    return made

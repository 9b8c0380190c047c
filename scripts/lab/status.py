"""What a shipper says of itself, for those who wait for it to say something."""

from pathlib import Path
from typing import Any

from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.tool import NoShipper, ask_status


def status_at(socket: Path) -> dict[str, Any]:
    """The status document; empty as long as nobody answers."""
    try:
        return ask_status(socket)
    except NoShipper:
        return {}


def status_in(directory: Path) -> dict[str, Any]:
    """The same of the shipper whose socket lies in this directory."""
    return status_at(directory / SOCKET_NAME)

"""Options that several commands share, and what they mean where they are not given."""

import os
from pathlib import Path

import click

from moesifasgi.errors import SettingsError
from moesifasgi.places import embedded_socket
from moesifasgi.shipper.configuration.values import DEFAULT_SOCKET

PATH = click.Path(path_type=Path, readable=False)
"""Whoever opens it says why that fails; a socket need not be readable."""
socket_option = click.option(
    "--socket",
    "socket_path",
    type=PATH,
    help="The shipper's socket. Default: $MOESIF_SHIPPER_SOCKET, that of the configuration file,"
    " /run/moesif/shipper.sock, or the embedded shipper of this user.",
)


def socket_meant(given: Path | None) -> Path:
    """The socket a tool means: the one named, the standalone shipper's, else this user's embedded one."""
    if given is not None:
        return given
    named = os.environ.get("MOESIF_SHIPPER_SOCKET")
    standalone = Path(named or _configured() or DEFAULT_SOCKET)
    if named or _is_there(standalone):
        return standalone
    return embedded_socket(os.environ.get("MOESIF_SPOOL_DIR"), os.environ)


def _is_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except PermissionError:
        return True  # To connect is what tells why not.


def _configured() -> str | None:
    """Where the configuration file has the shipper listen; None if it does not say, or not to this user."""
    from moesifasgi.shipper.configuration.sources import gather

    try:
        found = gather(None, os.environ, {}).content.get("socket")
    except SettingsError:
        return None
    return found if isinstance(found, str) else None

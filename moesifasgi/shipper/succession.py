"""Whether this shipper could go on in another's place: judged before that one is asked to leave.

What turned out only afterwards would leave workers without any shipper.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from moesifasgi.shipper.monitor import refuse_address
from moesifasgi.shipper.occupants import Owner
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.premises import CONNECTS_IN_S, SERVICE_MANAGER
from moesifasgi.shipper.spool import schema
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.link import translated
from moesifasgi.shipper.systemd import is_activated
from moesifasgi.shipper.tool import ask_status
from moesifasgi.unix_socket import listener_of, refuse_group, refuse_place


def refuse_succession(options: Options) -> None:
    """OSError, SpoolError or NoShipper where it could not. Changes nothing."""
    activated = is_activated(os.environ, os.getpid())
    if not activated:
        _refuse_socket(options)
    _refuse_elsewhere(options)
    if not options.socket.exists():
        return
    server = ask_status(options.socket)
    if not activated and server["pid"] != SERVICE_MANAGER:
        _refuse_service_managers(options.socket)
    if options.metrics is not None and str(options.metrics) != server.get("metrics"):
        refuse_address(options.metrics)
    _refuse_newer(options.directory / FILE_NAME)


def _refuse_elsewhere(options: Options) -> None:
    """OSError where the spool's owner serves another socket: it could not be asked at this one.

    One that is leaving serves none; that one is waited for.
    """
    owner = Owner.of(options.directory)
    if (path := owner.serves_instead_of(options.socket)) is not None:
        raise OSError(
            errno.EADDRNOTAVAIL,
            f"shipper {owner.pid}, which has the spool in {options.directory}, serves {path} and not"
            f" {options.socket}: to change the socket, stop the one and start the other",
        )


def _refuse_socket(options: Options) -> None:
    refuse_place(options.socket)
    if not os.access(options.socket.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"expected {options.socket.parent} to be a directory to write to")
    refuse_group(options.terms.socket_gid)


def _refuse_service_managers(path: Path) -> None:
    """Who was not passed that socket cannot have its place: it goes on without the shipper."""
    if listener_of(path, CONNECTS_IN_S) == SERVICE_MANAGER:
        text = f"process 1 listens on {path}, for a service: systemctl restart it"
        raise OSError(errno.EADDRINUSE, text)


def _refuse_newer(file: Path) -> None:
    # One that is damaged is salvaged.
    with suppress(schema.SpoolDamaged), translated(at_start=True):
        schema.check_version(file)

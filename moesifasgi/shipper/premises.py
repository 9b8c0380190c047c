"""Spool, socket and the monitors' address, as a shipper finds them at its start; looked at, not changed.

What ``run`` refuses is judged by the functions that it refuses by. One thing is no fault here: a shipper that
owns this spool and serves this socket, which a person who has changed the configuration is about to reload.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from moesifasgi.places import FORBIDDEN_MODE, refuse_strangers
from moesifasgi.shipper.configuration.values import Configuration
from moesifasgi.shipper.finding import Finding, Verdict
from moesifasgi.shipper.monitor import answers_at, refuse_address
from moesifasgi.shipper.monitor_address import MetricsUnavailable, MonitorAddress
from moesifasgi.shipper.occupants import Owner, Server
from moesifasgi.shipper.reach import unreached
from moesifasgi.shipper.spool import SpoolError, fsck, schema
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.link import translated
from moesifasgi.unix_socket import answers, listener_of, refuse_group, refuse_place

CONNECTS_IN_S = 1.0
SERVICE_MANAGER = 1
"""Its process id: systemd's, where that holds the socket."""


def premises(configuration: Configuration) -> Iterator[Finding]:
    """One line each, and more for a spool that has something to tell."""
    directory, socket = Path(configuration.spool_dir), Path(configuration.socket)
    server, owner = Server.at(socket), Owner.of(directory)
    yield from _looked("spool", _spool(directory, configuration.spool_min_free_bytes, owner, server))
    yield from _looked("socket", _socket(socket, owner, server))
    yield from _looked("socket", _reach(configuration, owner, server))
    if configuration.socket_mode & 0o007:
        text = f"socket_mode {configuration.socket_mode:04o} lets every user connect, allowed or not"
        yield Finding(Verdict.WARNING, "socket", text)
    try:
        refuse_group(configuration.socket_group)
    except OSError:
        text = f"expected socket_group {configuration.socket_group} to be a group of this user"
        yield Finding(Verdict.FAILED, "socket", text)
    if configuration.metrics is not None:
        yield _metrics(configuration.metrics, socket.parent, owner, server)


def _looked(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except OSError as error:
        # Who runs this may not look everywhere; what was refused by us has its path in its words.
        where = f"{error.filename}: " if error.filename else ""
        yield Finding(Verdict.FAILED, subject, f"{where}{error.strerror or error}")


def _spool(directory: Path, min_free_bytes: int, owner: Owner, server: Server) -> Iterator[Finding]:
    there = _nearest(directory)
    if fault := _unusable(there) or _strange(there, directory) or owner.fault:
        yield Finding(Verdict.FAILED, "spool", fault)
        return
    if owner.pid is not None and not owner.serves(server):
        text = f"the spool in {directory} is in use by process {owner.pid}, which does not serve this socket"
        yield Finding(Verdict.FAILED, "spool", text)
    yield from _room(there, min_free_bytes)
    if there != directory:
        yield Finding(Verdict.OK, "spool", f"{directory} will be made in {there}")
    elif (closed := _closed(directory)) is not None:
        yield Finding(Verdict.FAILED, "spool", closed)
    elif (directory / FILE_NAME).exists():
        yield from _file(directory, f", in use by shipper {owner.pid}" if owner.serves(server) else "")
    else:
        yield Finding(Verdict.OK, "spool", f"{directory} is empty")


def _nearest(directory: Path) -> Path:
    """It, or the first of its parents that is there."""
    return next(path for path in (directory, *directory.parents) if path.exists())


def _unusable(directory: Path) -> str | None:
    if not directory.is_dir():
        return f"{directory}: expected a directory"
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return f"{directory}: expected a directory that user id {os.geteuid()} may write to"
    return None


def _closed(directory: Path) -> str | None:
    """Which of its files somebody else has, as where the shipper or ``fsck`` was run by root once."""
    files = sorted(directory.glob(f"{FILE_NAME}*"))
    closed = [file for file in files if not os.access(file, os.R_OK | os.W_OK)]
    return f"{closed[0]}: expected a file that user id {os.geteuid()} may write to" if closed else None


def _strange(there: Path, directory: Path) -> str | None:
    """Why the spool's own directory would be refused."""
    if there != directory:
        return None
    found = directory.stat()
    try:
        refuse_strangers(found)
    except OSError as error:
        hint = "" if found.st_uid == os.geteuid() else " (check is for the shipper's user to run)"
        return f"{directory}: {error.strerror}{hint}"
    return None


def _room(directory: Path, min_free_bytes: int) -> Iterator[Finding]:
    found = os.statvfs(directory)
    free_bytes = found.f_bavail * found.f_frsize
    if free_bytes <= min_free_bytes:
        text = f"{directory}: {free_bytes} bytes are free, no more than spool_min_free_bytes keeps"
        yield Finding(Verdict.FAILED, "spool", text)


def _file(directory: Path, used: str) -> Iterator[Finding]:
    try:
        with translated(at_start=True):
            schema.check_version(directory / FILE_NAME)
    except schema.SpoolDamaged as error:
        text = f"{error}; it will be set aside, with what can be saved in a new one"
        yield Finding(Verdict.WARNING, "spool", text)
    except SpoolError as error:
        yield Finding(Verdict.FAILED, "spool", str(error))
    else:
        yield Finding(Verdict.OK, "spool", f"{directory} holds a spool{used}")
    yield from (Finding(Verdict.WARNING, "spool", note) for note in fsck.surroundings(directory))


def _socket(path: Path, owner: Owner, server: Server) -> Iterator[Finding]:
    refuse_place(path)
    if path.parent.is_dir() and (mode := stat.S_IMODE(path.parent.stat().st_mode)) & FORBIDDEN_MODE:
        text = f"others may write to {path.parent} (mode {mode:04o}): workers would find a socket of theirs"
        yield Finding(Verdict.WARNING, "socket", text)
    if owner.serves(server):
        yield Finding(Verdict.OK, "socket", f"shipper {server.pid} answers at {path}")
    elif server.pid is not None:
        text = f"another shipper, with a spool of its own, listens on {path}: process {server.pid}"
        yield Finding(Verdict.FAILED, "socket", text)
    elif path.is_socket():
        yield _silent(path, server)
    elif (fault := _unusable(path.parent if path.parent.exists() else path.parent.parent)) is not None:
        # Its directory is made, but no more than that.
        yield Finding(Verdict.FAILED, "socket", fault)
    else:
        yield Finding(Verdict.OK, "socket", f"no shipper runs at {path} yet")


def _reach(configuration: Configuration, owner: Owner, server: Server) -> Iterator[Finding]:
    listener = listener_of(Path(configuration.socket), CONNECTS_IN_S)
    # In a container the shipper may be process 1 itself.
    is_managers = listener == SERVICE_MANAGER != server.pid
    for text in unreached(configuration, serves=owner.serves(server), is_managers=is_managers):
        yield Finding(Verdict.WARNING, "socket", text)


def _silent(path: Path, server: Server) -> Finding:
    """There is a socket, but no shipper that answers."""
    if not answers(path, CONNECTS_IN_S):
        if (fault := _unusable(path.parent)) is not None:
            return Finding(Verdict.FAILED, "socket", fault)
        text = f"{server.fault}; the next shipper takes its place"
        return Finding(Verdict.OK if os.access(path, os.W_OK) else Verdict.WARNING, "socket", text)
    if listener_of(path, CONNECTS_IN_S) == SERVICE_MANAGER:
        # Then it is no obstacle: the shipper inherits it.
        text = f"{server.fault}; process 1 listens there, and its service does not serve (systemctl status)"
        return Finding(Verdict.WARNING, "socket", text)
    return Finding(Verdict.FAILED, "socket", f"{server.fault}, but somebody listens there")


def _metrics(address: MonitorAddress, made: Path, owner: Owner, server: Server) -> Finding:
    """``made``: the socket's directory, which the shipper makes before it listens for monitors."""
    if owner.serves(server) and server.metrics == str(address):
        if not answers_at(address):
            text = f"shipper {server.pid} should listen on {address}, but nobody answers there"
            return Finding(Verdict.WARNING, "metrics", text)
        return Finding(Verdict.OK, "metrics", f"shipper {server.pid} listens on {address}")
    try:
        refuse_address(address, made)
    except MetricsUnavailable as error:
        return Finding(Verdict.FAILED, "metrics", str(error))
    return Finding(Verdict.OK, "metrics", f"nobody listens on {address} yet")

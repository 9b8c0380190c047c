"""Unix stream sockets by path, for both ends; also where the path is longer than the kernel's 107 bytes."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

LONGEST_PATH_BYTES = 100
"""Longer ones go through a descriptor of their directory (sun_path holds 108 bytes with its end)."""


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        yield str(path)
        return
    if not Path("/proc/self/fd").is_dir():
        raise OSError(f"the socket path is longer than {LONGEST_PATH_BYTES} bytes: {path}")
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def connected(path: Path, timeout_s: float) -> socket.socket:
    """A stream socket connected to ``path``. OSError where nobody listens there."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout_s)
        with _address(path) as address:
            made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def open_to(path: Path, mode: int, group: int | None) -> None:
    """Give the socket at ``path`` this mode, and this group (None: as it is)."""
    if group is not None:
        try:
            os.chown(path, -1, group)
        except OSError as error:
            raise OSError(error.errno, f"group {group}: {error.strerror}") from error
    path.chmod(mode)


def file_of(path: Path) -> tuple[int, int] | None:
    """Which file this name stands for now; None where there is none. Two sockets never are the same."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def listening(path: Path, mode: int, group: int | None = None, backlog: int = 128) -> socket.socket:
    """A non-blocking listener at ``path``, in place of a stale socket there.

    The caller owns the path (holds its lock). FileExistsError if something other than a socket is there.
    """
    if path.is_symlink() or (path.exists() and not path.is_socket()):
        raise FileExistsError(f"{path} exists and is not a socket")
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path) as address:
            made.bind(address)
        open_to(path, mode, group)
        made.listen(backlog)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made

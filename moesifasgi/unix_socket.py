"""Unix stream sockets by path, for both ends; also where the path is longer than the kernel's 107 bytes."""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

LONGEST_PATH_BYTES = 100
"""Longer ones go through a descriptor of their directory (sun_path holds 108 bytes with its end)."""
_CREDENTIALS = struct.Struct("3i")
"""pid, uid and gid of a peer, see unix(7)."""
LONGEST_NAME_BYTES = 80
"""Of the file itself, behind the name of such a descriptor."""


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        yield str(path)
        return
    _refuse_length(path)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _refuse_length(path: Path) -> None:
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        return
    if not Path("/proc/self/fd").is_dir():
        raise OSError(errno.ENAMETOOLONG, f"the path is longer than {LONGEST_PATH_BYTES} bytes: {path}")
    if len(os.fsencode(path.name)) > LONGEST_NAME_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"the name is longer than {LONGEST_NAME_BYTES} bytes: {path.name}")


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


def answers(path: Path, timeout_s: float) -> bool:
    """Whether somebody listens there."""
    try:
        connected(path, timeout_s).close()
    except OSError:
        return False
    return True


def is_deserted(path: Path) -> bool:
    """A socket at which nobody listens any more. Does not wait."""
    try:
        connected(path, 0.0).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass  # Of whom we may not ask, and of whom has too many callers, nothing is known.
    return False


def listener_of(path: Path, timeout_s: float) -> int | None:
    """The process that listens there, by the kernel's word; None: nobody does, or it cannot be told."""
    try:
        with connected(path, timeout_s) as made:
            return listener_at(made)
    except OSError:
        return None


def listener_at(end: socket.socket) -> int | None:
    """The process that listens at the other end of a connection, or with this very socket."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[0])


def refuse_place(path: Path) -> None:
    """OSError where nobody can listen, whoever it is: the path is too long, or something else is there."""
    _refuse_length(path)
    if path.is_symlink() or (path.exists() and not path.is_socket()):
        raise FileExistsError(errno.EEXIST, f"{path} exists and is not a socket")


def refuse_group(group: int | None) -> None:
    """OSError where ``open_to`` could not give a socket of ours to this group."""
    if group is not None and os.geteuid() != 0 and group not in (os.getegid(), *os.getgroups()):
        raise PermissionError(errno.EPERM, f"group {group}: {os.strerror(errno.EPERM)}")


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

    The caller owns the path (holds its lock). OSError where ``refuse_place`` has one.
    """
    refuse_place(path)
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

"""Where an embedded shipper keeps its lock, socket, spool and log: one directory that only its user can open.

Worker and shipper both look here, so that they meet. The directory is found by a chain; the first that can be
had wins: SPOOL_DIR alone if it is set, else systemd's STATE_DIRECTORY, XDG_STATE_HOME, the state directory in
the home that the password database names (``$HOME`` may still be root's after a server has changed its user),
and last the places for temporary files.
"""

import contextlib
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

SOCKET_NAME = "shipper.sock"
LAUNCH_LOCK_NAME = "launch.lock"
LOG_NAME = "shipper.log"


def state_directory(spool_dir: str | None, environ: Mapping[str, str]) -> Path:
    """The directory, made if needed, mode 0700. OSError says what is wrong where none can be had."""
    refused: list[str] = []
    for candidate in _candidates(spool_dir, environ):
        try:
            return _claimed(candidate)
        except OSError as error:
            refused.append(f"{candidate}: {error.strerror or error}")
    raise OSError("no directory for the shipper: " + "; ".join(refused))


def existing_state_directory(spool_dir: str | None, environ: Mapping[str, str]) -> Path | None:
    """The directory if there is one that can be had. Makes nothing."""
    for candidate in _candidates(spool_dir, environ):
        with contextlib.suppress(OSError):
            if candidate.is_dir():
                return _claimed(candidate)
    return None


def embedded_socket(spool_dir: str | None, environ: Mapping[str, str]) -> Path:
    """Where this user's embedded shipper listens, if it does. Makes nothing."""
    sockets = [candidate / SOCKET_NAME for candidate in _candidates(spool_dir, environ)]
    return next((found for found in sockets if found.is_socket()), sockets[0])


def _candidates(spool_dir: str | None, environ: Mapping[str, str]) -> Iterator[Path]:
    if spool_dir:
        yield Path(spool_dir).absolute()
        return
    for variable in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        # A relative path means something else to each process; the XDG specification has it ignored.
        if (given := Path(environ.get(variable, "").split(":")[0])).is_absolute():
            yield given / "moesif"
    with contextlib.suppress(KeyError):  # A container's user may have no entry.
        yield Path(pwd.getpwuid(os.geteuid()).pw_dir, ".local", "state", "moesif")
    for temporary in ("/var/tmp", tempfile.gettempdir()):  # Checked for owner and mode like all others.
        yield Path(temporary, f"moesif-{os.geteuid()}")


FORBIDDEN_MODE = 0o022
"""Bits of a spool directory's mode: nobody else may write to it."""


def refuse_strangers(found: os.stat_result, *, forbidden: int = FORBIDDEN_MODE) -> None:
    """OSError where what was found is no directory, not ours, or has one of these bits of its mode set.

    Who may write to it can put files there that are taken for a worker's, and take the spool away.
    """
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(0, "not a directory")
    if found.st_uid != os.geteuid():
        raise PermissionError(0, f"belongs to another user; expected one of the user id {os.geteuid()}")
    if found.st_mode & forbidden:
        mode = stat.S_IMODE(found.st_mode)
        raise PermissionError(0, f"others may write to it (mode {mode:04o}); expected at most 0755")


def _claimed(directory: Path) -> Path:
    """Ours, a real directory, and closed to others; or OSError."""
    _make(directory)
    found = directory.lstat()
    refuse_strangers(found, forbidden=0)
    if found.st_mode & 0o077:
        _close_to_others(directory, stat.S_IMODE(found.st_mode))
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(0, "not writable")
    return directory


def _make(directory: Path) -> None:
    """With its parents, which others may not write to, whatever the umask says."""
    for missing in [parent for parent in reversed(directory.parents) if not parent.exists()]:
        missing.mkdir(mode=0o755, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


def _close_to_others(directory: Path, mode: int) -> None:
    """Only what is ours alone: a directory that others work in (``/tmp``) must not be closed to them."""
    if any(directory.iterdir()) and not (directory / LAUNCH_LOCK_NAME).exists():
        raise PermissionError(0, f"open to others (mode {mode:o}) and in use; expected one of its own")
    directory.chmod(0o700)

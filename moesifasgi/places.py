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


def _candidates(spool_dir: str | None, environ: Mapping[str, str]) -> Iterator[Path]:
    if spool_dir:
        yield Path(spool_dir).absolute()
        return
    if given := environ.get("STATE_DIRECTORY"):
        yield Path(given.split(":")[0], "moesif")
    if given := environ.get("XDG_STATE_HOME"):
        yield Path(given, "moesif")
    with contextlib.suppress(KeyError):  # A container's user may have no entry.
        yield Path(pwd.getpwuid(os.geteuid()).pw_dir, ".local", "state", "moesif")
    for temporary in ("/var/tmp", tempfile.gettempdir()):  # Checked for owner and mode like all others.
        yield Path(temporary, f"moesif-{os.geteuid()}")


def _claimed(directory: Path) -> Path:
    """Ours, a real directory, and closed to others; or OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(0, "not a directory")
    if found.st_uid != os.geteuid():
        raise PermissionError(0, "belongs to another user")
    if found.st_mode & 0o077:
        directory.chmod(0o700)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(0, "not writable")
    return directory

"""One spool, one owner: an advisory lock on a file beside the spool, held for the owner's life.

The kernel lets go of it when the process ends, however it ends, and nothing that the owner executes inherits
it. The file's content (the owner's pid) is only for the message to who comes second.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from moesifasgi.shipper.spool import SpoolError, SpoolInUse

LOCK_NAME = "spool.lock"


class OwnerLock:
    """The lock, taken. ``release`` may be called twice."""

    __slots__ = ("_descriptor",)

    def __init__(self, directory: Path) -> None:
        """Raises SpoolInUse if another object, here or in another process, holds it."""
        try:
            self._descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SpoolError(f"cannot open {directory / LOCK_NAME}: {error.strerror}") from error
        try:
            self._take(directory)
        except BaseException:
            self.release()
            raise

    def _take(self, directory: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            raise SpoolInUse(
                f"the spool in {directory} is in use by process {holder or 'unknown'}"
            ) from error
        with suppress(OSError):  # A full disk costs the pid in a message, not the start.
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

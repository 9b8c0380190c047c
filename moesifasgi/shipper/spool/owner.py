"""One spool, one owner: advisory locks on its directory and on a file in it, held for the owner's life.

The kernel lets go of them when the process ends, however it ends, and nothing that the owner executes
inherits them. The file's content (the owner's pid) is for the message to who comes second. The file can be
deleted by whoever cleans up; the directory cannot, as long as there is a spool in it.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from moesifasgi.places import refuse_strangers
from moesifasgi.shipper.spool import SpoolError, SpoolInUse

LOCK_NAME = "spool.lock"
_NOBODY = -1
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_LOCKS = (errno.EBADF, errno.ENOTSUP, errno.EINVAL)
"""Some network file systems lock no directories."""


class OwnerLock:
    """The locks, taken. ``release`` may be called twice."""

    __slots__ = ("_directory", "_file", "_room")

    def __init__(self, directory: Path) -> None:
        """Raises SpoolInUse if another object, here or in another process, holds one of them."""
        self._directory = directory
        self._file = self._room = _NOBODY
        try:
            self.renew()
        except BaseException:
            self.release()
            raise

    @property
    def holds(self) -> bool:
        """What is locked is what a name finds now."""
        return _is_there(self._room, self._directory) and _is_there(self._file, self._directory / LOCK_NAME)

    def renew(self) -> None:
        """Take what is not held, or not any more because something else is in its place now.

        Raises SpoolInUse where somebody else was quicker.
        """
        self._room = self._held(self._room, self._directory, os.O_RDONLY | os.O_DIRECTORY)
        file = self._held(self._file, self._directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        if file != self._file:
            self._file = file
            with suppress(OSError):  # A full disk costs the pid in a message, not the start.
                os.ftruncate(file, 0)
                os.pwrite(file, b"%d\n" % os.getpid(), 0)

    def _held(self, held: int, place: Path, flags: int) -> int:
        """A descriptor of what is in that place now, locked."""
        if _is_there(held, place):
            return held
        descriptor = self._locked(place, flags)
        if held != _NOBODY:
            os.close(held)
        return descriptor

    def _locked(self, place: Path, flags: int) -> int:
        try:
            descriptor = os.open(place, flags, 0o600)
        except OSError as error:
            raise SpoolError(f"cannot open {place}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise SpoolInUse(
                f"the spool in {self._directory} is in use by process {_holder(self._directory)}"
            ) from error
        except OSError as error:
            # Then the file has to do.
            if not flags & os.O_DIRECTORY or error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise SpoolError(f"cannot lock {place}: {error.strerror}") from error
        return descriptor

    def release(self) -> None:
        for descriptor in (self._file, self._room):
            if descriptor != _NOBODY:
                os.close(descriptor)
        self._file = self._room = _NOBODY


def refuse_directory(directory: Path) -> None:
    """SpoolError where it is another user's, or others may write to it.

    What root would make in it would be closed to the shipper's user for good.
    """
    try:
        refuse_strangers(directory.stat())
    except OSError as error:
        raise SpoolError(f"cannot use {directory}: {error.strerror}") from error


def owner_of(directory: Path) -> str | None:
    """The process that owns the spool there, as it wrote it down; None: nobody does. Changes nothing.

    The locks are taken for a moment, and shared: any number may look at once, and who wants to own the spool
    has to try twice.
    """
    taken = _is_locked(directory, os.O_RDONLY | os.O_DIRECTORY) or _is_locked(directory / LOCK_NAME, _READ)
    return _holder(directory) if taken else None


def _is_locked(place: Path, flags: int) -> bool:
    try:
        descriptor = os.open(place, flags)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SpoolError(f"cannot open {place}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if not flags & os.O_DIRECTORY or error.errno not in _NO_LOCKS:
            raise SpoolError(f"cannot lock {place}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return False


def _holder(directory: Path) -> str:
    with suppress(OSError):
        descriptor = os.open(directory / LOCK_NAME, _READ)
        try:
            return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        finally:
            os.close(descriptor)
    return "unknown"


def _is_there(held: int, place: Path) -> bool:
    try:
        return held != _NOBODY and os.path.samestat(os.fstat(held), place.stat())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SpoolError(f"cannot look at {place}: {error.strerror}") from error

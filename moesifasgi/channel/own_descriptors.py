"""Descriptors that only this process may have: a forked child lets go of them at once.

A lock on a file, and a connection, last as long as anybody has their descriptor. A child that kept one would
make a dead worker look alive, and threads that would close it do not exist there.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_own: dict[int, int] = {}
"""Each with the process that it belongs to."""


def keep(descriptor: int) -> None:
    """For this process alone, until ``let_go``."""
    _own[descriptor] = os.getpid()


def let_go(descriptor: int) -> None:
    """Close it. In a forked child it is closed already, and its number may be another's by now."""
    owner = _own.pop(descriptor, None)
    if owner is None:
        return
    if owner == os.getpid():
        _end(descriptor)
    os.close(descriptor)


@contextmanager
def kept(descriptor: int) -> Iterator[None]:
    """For this process alone meanwhile; who closes it is another's affair."""
    keep(descriptor)
    try:
        yield
    finally:
        _own.pop(descriptor, None)


def _end(descriptor: int) -> None:
    """End the lock or the connection itself, for whoever has it still.

    A child that was forked just before ``keep`` does: it knows nothing of it, and closes nothing.
    """
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=os.dup(descriptor)) as same:
                same.shutdown(socket.SHUT_RDWR)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _after_fork_in_child() -> None:
    for descriptor in _own:
        with suppress(OSError):
            os.close(descriptor)
    _own.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

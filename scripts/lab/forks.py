"""A forked child that lives for as long as a test wants, and locks that such a child may hold."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def living_child() -> Iterator[None]:
    """One that is forked now, and lives meanwhile."""
    if not (child := os.fork()):
        signal.pause()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock on this file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True

"""Descriptors that only this process may have: a forked child lets go of them at once.

A lock on a file, and a connection, last as long as anybody has their descriptor. A child that kept one would
make a dead worker look alive, and threads that would close it do not exist there.
"""

import os
from contextlib import suppress

_own: set[int] = set()


def keep(descriptor: int) -> None:
    """For this process alone, until ``let_go``."""
    _own.add(descriptor)


def let_go(descriptor: int) -> None:
    """Close it. In a forked child it is closed already, and its number may be another's by now."""
    if descriptor in _own:
        _own.discard(descriptor)
        os.close(descriptor)


def _after_fork_in_child() -> None:
    for descriptor in _own:
        with suppress(OSError):
            os.close(descriptor)
    _own.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

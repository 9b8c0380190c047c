"""Outgoing calls whose response the application let go of without a word.

Nothing may be offered from a destructor: it can run at any point of any thread, within our own locks too. So
it puts the call here, and it is recorded at the next good moment.
"""

import os
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol


class Forgotten(Protocol):
    """A call that nobody will end any more."""

    def abandoned(self) -> None:
        """Record it as it stands."""


_dropped: "SimpleQueue[Forgotten]" = SimpleQueue()


def drop(call: Forgotten) -> None:
    """For a destructor: takes no lock of Python's, and may be interrupted by another destructor."""
    _dropped.put(call)


def record_dropped() -> None:
    """Record what was dropped; on no destructor's behalf."""
    if _dropped.empty():
        return
    with suppress(Empty):
        while True:
            _dropped.get_nowait().abandoned()


def _start_afresh() -> None:
    """In a forked child: what was dropped is the parent's to record."""
    global _dropped
    _dropped = SimpleQueue()


os.register_at_fork(after_in_child=_start_afresh)

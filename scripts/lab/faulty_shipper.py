"""The shipper's command over a spool that brings delivery to a standstill, once.

    MOESIF_LAB_FAULT=dies python -m lab.faulty_shipper run …

The fault happens at the next read of delivery while the file ``fault`` is in the spool's directory, which it
takes away: whoever starts the shipper afresh finds it well.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moesifasgi.shipper import serving
from moesifasgi.shipper.cli import main
from moesifasgi.shipper.spool import StoredChunk
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool

VARIABLE = "MOESIF_LAB_FAULT"
FLAG_NAME = "fault"


def dies() -> None:
    """What no boundary of the loop contains: its thread ends."""
    raise SystemExit


def hangs() -> None:
    """As a disk may that never answers."""
    threading.Event().wait()


FAULTS: dict[str, Callable[[], None]] = {each.__name__: each for each in (dies, hangs)}


class FaultySpool(SqliteSpool):
    """One that can fail its reader."""

    flag: Path
    fault: Callable[[], None]

    def peek(self, *arguments: Any, **named: Any) -> list[StoredChunk]:
        if self.flag.exists():
            self.flag.unlink()
            self.fault()
        return super().peek(*arguments, **named)


def opened(directory: Path, **options: Any) -> SqliteSpool:
    """As ``open_spool``."""
    spool = open_spool(directory, **options)
    spool.__class__ = FaultySpool
    assert isinstance(spool, FaultySpool)
    spool.flag, spool.fault = directory / FLAG_NAME, FAULTS[os.environ[VARIABLE]]
    return spool


if __name__ == "__main__":
    serving.open_spool = opened
    main()

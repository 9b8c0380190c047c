"""Whether there is room for one more chunk: the spool's bound, the disk's reserve, each application's share.

The share: as soon as the spool serves more than one application, none may hold more than 80 % of what the
others leave free. So an application whose uploads are parked stops growing while there is still room, and
however many are parked, the next one finds some. A single application has the whole spool, unless it has a
quota of its own.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from moesifasgi.shipper.spool.ledger import Change, Ledger

SHARE = 0.8
_RECHECK_S = 1.0


class DiskGauge:
    """Free bytes of a directory's file system, asked for once a second and estimated in between."""

    __slots__ = ("_asked_at", "_directory", "_free_bytes")

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._asked_at = float("-inf")
        self._free_bytes = 0

    def free_bytes(self, now: float) -> int:
        """OSError where the file system does not answer. A clock that jumps only asks once more."""
        if abs(now - self._asked_at) >= _RECHECK_S:
            found = os.statvfs(self._directory)
            self._free_bytes = found.f_bavail * found.f_frsize
            self._asked_at = now
        return self._free_bytes

    def spend(self, size: int) -> None:
        """So many bytes were written since the file system was asked."""
        self._free_bytes -= size


class Room:
    """Decides for one chunk at a time; knows the books and what the running transaction adds to them."""

    __slots__ = ("_applications", "max_bytes", "quotas")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.quotas: Mapping[str, int] = {}
        self._applications: set[str] = set()

    def serve(self, application_id: str) -> None:
        """This application has data here, or may have some soon: it counts for the shares."""
        self._applications.add(application_id)

    def leave(self, application_id: str) -> None:
        """It holds nothing, and is not expected back."""
        self._applications.discard(application_id)

    def refusal(
        self, ledger: Ledger, change: Change, application_id: str, size: int, spare_bytes: int | None
    ) -> str | None:
        """Why a chunk of ``size`` bytes cannot be stored, as the reason it is counted under; None if it can.

        ``spare_bytes``: how much the file system has above its reserve; None: there is no file system.
        """
        self.serve(application_id)
        held = ledger.bytes + sum(holding.bytes for holding in change.lanes.values())
        if held + size > self.max_bytes or (spare_bytes is not None and size > spare_bytes):
            return "spool_full"
        own = ledger.bytes_of(application_id) + change.bytes_of(application_id)
        shared = len(self._applications) > 1
        if own + size > self.quotas.get(application_id, self.max_bytes):
            return "quota_full"
        if shared and own + size > SHARE * (self.max_bytes - (held - own)):
            return "quota_full"
        return None

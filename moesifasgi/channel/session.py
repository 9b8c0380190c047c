"""One process's life on the wire: its name, whom it speaks for, and what nobody has acknowledged.

The carrier's lock guards it.
"""

import os
from collections.abc import Sequence

from moesifasgi.version import VERSION
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import OLDEST_WIRE_VERSION, SESSION_BYTES, WIRE_VERSION, Hello
from moesifasgi.wire.ring import Ring


class Session:
    """See the module. Its ring is bounded by ``max_events`` and ``max_bytes``."""

    def __init__(
        self, pid: int, applications: Sequence[Application], max_events: int, max_bytes: int
    ) -> None:
        self._pid = pid
        self._bounds = max_events, max_bytes
        self.applications = list(applications)
        self.id = os.urandom(SESSION_BYTES)
        self.ring = Ring(*self._bounds)

    def introduction(self) -> Hello:
        """What it says first on each connection."""
        applications = [application.to_wire() for application in self.applications]
        return Hello(
            OLDEST_WIRE_VERSION, WIRE_VERSION, self.id, self.ring.base, self._pid, VERSION, applications
        )

    def unacknowledged(self) -> tuple[Hello, list[bytes]]:
        """All frames that nobody has acknowledged, and the introduction that they go with."""
        return self.introduction(), self.ring.unacknowledged()

    def bounds(self) -> tuple[int, int, int]:
        """The first sequence that is not acknowledged, the next to be given out, and the bytes in between."""
        return self.ring.base, self.ring.next, self.ring.bytes

    def rename(self) -> None:
        """The old name is another's, for all that the shipper knows; what is not acknowledged stays."""
        self.id = os.urandom(SESSION_BYTES)

    def begin_anew(self) -> None:
        """Another session, with nothing in its ring: what was there is somebody else's to deliver."""
        self.rename()
        self.ring = Ring(*self._bounds)

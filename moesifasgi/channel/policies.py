"""The policies of a process: what the shipper pushed, who wants to hear of it, and what they say back.

Belongs to the channel, not to a carrier: after a fork the child keeps listeners and what is in force, and a
document that it is pushed again is no news to it. Listeners run under a lock, so that each hears the
documents one at a time and in their order; it is not the carrier's, so a slow one holds up no offer.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moesifasgi.quiet import say
from moesifasgi.wire.messages import MAX_REPORT_LINE_CHARS, MAX_REPORT_LINES, Report
from moesifasgi.wire.policy_document import unpack

Listener = Callable[[Mapping[str, Any]], None]


class Policies:
    """See the module. Any thread may call; keys are those of the applications."""

    def __init__(self) -> None:
        self._documents: dict[int, bytes] = {}
        self._listeners: dict[int, list[Listener]] = {}
        self._reports: dict[int, tuple[str, ...]] = {}
        self.start_afresh()

    def start_afresh(self) -> None:
        """A lock that nobody holds: for a forked child."""
        # A listener may ask for something of the channel itself.
        self._lock = threading.RLock()

    def watch(self, key: int, listener: Listener) -> None:
        """Tell the listener each new document of this application, the one that is here already at once."""
        with self._lock:
            self._listeners.setdefault(key, []).append(listener)
            if (known := self._documents.get(key)) is not None:
                _tell([listener], unpack(known))

    def take(self, key: int, document: bytes) -> None:
        """A packed document came. One that cannot be read is passed over: what is in force stays so."""
        with self._lock:
            if self._documents.get(key) == document:
                return
            try:
                policy = unpack(document)
            except ValueError as error:
                say("policy unreadable", "a policy cannot be read (%s); the last one stays in force", error)
                return
            _tell(self._listeners.get(key, ()), policy)
            self._documents[key] = document

    def report(self, key: int, lines: Sequence[str]) -> None:
        """See ``Channel.report``."""
        # Without the lock: who reports may be in a hurry, and a listener hold it long.
        self._reports[key] = tuple(line[:MAX_REPORT_LINE_CHARS] for line in lines[:MAX_REPORT_LINES])

    def reports(self) -> list[Report]:
        """What is to be said of each application now."""
        return [Report(key, list(lines)) for key, lines in self._reports.copy().items()]


def _tell(listeners: Sequence[Listener], policy: Mapping[str, Any]) -> None:
    for listener in listeners:
        try:
            listener(policy)
        except Exception as error:  # noqa: BLE001  (a listener's fault is its own; the channel goes on)
            say("policy fault", "a new policy could not be put in force: %r", error)

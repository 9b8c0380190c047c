"""The applications this shipper delivers for: what HELLO said of them, over a restart too."""

import threading
from collections.abc import Callable, Iterable

from moesifasgi.quiet import say
from moesifasgi.shipper.overrides import Overrides
from moesifasgi.shipper.spool import Spool, SpoolError
from moesifasgi.wire.application import Application

MAX_APPLICATIONS = 1_024
"""Four workers may each name as many as there are keys. Each costs a lane, a policy and its settings."""


class Unwelcome(Exception):
    """A worker keeps to the wire, but it is not served; the text says why."""


class RegistryFull(Unwelcome):
    """As many applications as a shipper serves have workers or events here; later there may be room."""


class Registry:
    """Applications by id; the newest HELLO counts. Any thread may ask, one may say what is new.

    ``overrides``: what a standalone shipper knows better; the spool remembers what workers said.
    """

    def __init__(
        self, spool: Spool, overrides: Overrides | None = None, max_applications: int = MAX_APPLICATIONS
    ) -> None:
        self._spool = spool
        self._overrides = overrides or Overrides()
        self._max_applications = max_applications
        self._lock = threading.Lock()
        self._applications = {found.application_id: found for found in spool.applications()}
        self._unstored: set[str] = set()
        """Those whose settings the spool has not taken yet."""
        self._connected: frozenset[str] = frozenset()
        self._on_learned: Callable[[Application], None] = lambda _: None
        self._on_forgotten: Callable[[str], None] = lambda _: None

    def watch(
        self, on_learned: Callable[[Application], None], on_forgotten: Callable[[str], None] = lambda _: None
    ) -> None:
        """Have the listeners called with whatever application a worker names, and the id of one that went."""
        self._on_learned, self._on_forgotten = on_learned, on_forgotten

    def connected(self, application_ids: frozenset[str]) -> None:
        """These have workers here now."""
        self._connected = application_ids

    def learn(self, application: Application, *, bequeathed: bool = False) -> None:
        """Remember what a worker said, in the spool too; if that cannot take it now, no matter.

        What was ``bequeathed`` was said long ago: it counts only where nothing else is known.
        RegistryFull, if it is one more than there may be and none of the others can be forgotten.
        """
        self._make_room_for(application.application_id)
        self._connected |= {application.application_id}
        if bequeathed and application.application_id in self._applications:
            return
        self._on_learned(self._overrides.applied(application))
        with self._lock:
            stored = application.application_id not in self._unstored
            if self._applications.get(application.application_id) == application and stored:
                return
            self._applications[application.application_id] = application
        try:
            self._spool.remember(application)
            self._unstored.discard(application.application_id)
        except SpoolError as error:
            # It can be delivered for now; after a restart its backlog would wait for its next HELLO.
            self._unstored.add(application.application_id)
            say("application not remembered", "could not store an application's settings: %s", error)

    def get(self, application_id: str) -> Application | None:
        with self._lock:
            said = self._applications.get(application_id)
            return self._overrides.named(application_id) if said is None else self._overrides.applied(said)

    def all(self) -> list[Application]:
        with self._lock:
            return [self._overrides.applied(said) for said in self._applications.values()]

    def refusal(self, applications: Iterable[Application]) -> str | None:
        """Why a worker with these applications is not served; None if it is."""
        return self._overrides.refusal(applications)

    def reconsider(self, overrides: Overrides) -> None:
        """From now on these hold, for applications that are known already too."""
        with self._lock:
            self._overrides = overrides
        for application in self.all():
            self._on_learned(application)

    def _make_room_for(self, application_id: str) -> None:
        """Forget the oldest applications that have neither workers nor events, while there are too many."""
        if application_id in self._applications:
            return
        while len(self._applications) >= self._max_applications:
            holding = {lane.application_id for lane in self._spool.lanes()}
            idle = (known for known in self._applications if known not in holding | self._connected)
            if (oldest := next(idle, None)) is None:
                raise RegistryFull(f"this shipper serves at most {self._max_applications} applications")
            self._forget(oldest)

    def _forget(self, application_id: str) -> None:
        with self._lock:
            del self._applications[application_id]
        self._unstored.discard(application_id)
        self._on_forgotten(application_id)
        try:
            self._spool.forget(application_id)
        except SpoolError as error:
            say("application not forgotten", "an application's settings stay in the spool: %s", error)

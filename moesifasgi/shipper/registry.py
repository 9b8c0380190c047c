"""The applications this shipper delivers for: what HELLO said of them, over a restart too."""

import threading
from collections.abc import Callable
from dataclasses import replace

from moesifasgi.quiet import say
from moesifasgi.shipper.spool import Spool, SpoolError
from moesifasgi.wire.application import Application


class Registry:
    """Applications by id. Any thread may ask; the newest HELLO counts.

    ``base_uri``: a standalone shipper's own, which wins over what workers say.
    """

    def __init__(self, spool: Spool, base_uri: str | None = None) -> None:
        self._spool = spool
        self._base_uri = base_uri
        self._lock = threading.Lock()
        self._applications = {found.application_id: self._own(found) for found in spool.applications()}
        self._listener: Callable[[Application], None] | None = None

    def watch(self, listener: Callable[[Application], None]) -> None:
        """Have the listener called with whatever application a worker names, known or not."""
        self._listener = listener

    def learn(self, application: Application) -> None:
        """Remember what a worker said, in the spool too; if that cannot take it now, no matter."""
        application = self._own(application)
        if self._listener is not None:
            self._listener(application)
        with self._lock:
            if self._applications.get(application.application_id) == application:
                return
            self._applications[application.application_id] = application
        try:
            self._spool.remember(application)
        except SpoolError as error:
            # It can be delivered for now; after a restart its backlog would wait for its next HELLO.
            say("application not remembered", "could not store an application's settings: %s", error)

    def get(self, application_id: str) -> Application | None:
        with self._lock:
            return self._applications.get(application_id)

    def all(self) -> list[Application]:
        with self._lock:
            return list(self._applications.values())

    def _own(self, application: Application) -> Application:
        return replace(application, base_uri=self._base_uri) if self._base_uri else application

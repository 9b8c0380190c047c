"""How a worker reaches a shipper: a standalone one by its path, or an embedded one, started if need be."""

import os
import socket
import time
from pathlib import Path

from moesifasgi.channel import Dialer
from moesifasgi.channel.launcher import Launcher, ShipperOptions
from moesifasgi.channel.leftovers import LeftBounds, left_in
from moesifasgi.channel.own_descriptors import kept
from moesifasgi.places import SOCKET_NAME, existing_state_directory, state_directory
from moesifasgi.quiet import say
from moesifasgi.unix_socket import connected

CONNECT_TIMEOUT_S = 5.0
POLL_S = 0.02
WAIT_S = 2.0
"""How long one dial waits for a shipper that is being started."""
STANDALONE_GRACE_S = 10.0
"""A standalone shipper that was there is waited for so long (its restart) before one is started."""


class StateDirectory:
    """The directory of this user for what concerns shippers, found and made when it is first asked for."""

    def __init__(self, spool_dir: str | None, bounds: LeftBounds | None = None) -> None:
        """``bounds``: of what workers leave behind there."""
        self.bounds = bounds or LeftBounds()
        self._spool_dir = spool_dir
        self._found: Path | None = None

    def __call__(self) -> Path:
        """OSError where none can be had."""
        if self._found is None:
            self._found = state_directory(self._spool_dir, os.environ)
        return self._found

    def forget(self) -> None:
        """In a forked child, which may become another user's."""
        self._found = None

    def left(self) -> list[Path]:
        """What workers left behind there. Makes nothing."""
        directory = existing_state_directory(self._spool_dir, os.environ)
        return [] if directory is None else left_in(directory)


class PathDialer:
    """A standalone shipper (TRANSPORT ``unix``). Without ``state``, nothing is left behind."""

    starting = False

    def __init__(self, path: Path, state: StateDirectory | None = None) -> None:
        self._path = path
        self._state = state

    @property
    def directory(self) -> Path | None:
        return None if self._state is None else self._state()

    @property
    def left_bounds(self) -> LeftBounds:
        return LeftBounds() if self._state is None else self._state.bounds

    def __call__(self) -> socket.socket:
        return connected(self._path, CONNECT_TIMEOUT_S)

    def heritage(self) -> list[Path]:
        return [] if self._state is None else self._state.left()

    def again(self) -> socket.socket:
        return self()

    def supersede(self) -> None:
        """Who started it looks after its version."""

    def leave_off(self) -> None:
        """It starts none."""

    def abandon(self) -> None:
        if self._state is not None:
            self._state.forget()


class EmbeddedDialer:
    """The embedded shipper of a state directory, which is found at the first dial."""

    def __init__(self, state: StateDirectory, options: ShipperOptions) -> None:
        self.starting = False
        self._state = state
        self._options = options
        self._launcher: Launcher | None = None
        self._path = Path()

    def __call__(self) -> socket.socket:
        launcher = self._launcher or self._prepare()
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                found = connected(self._path, CONNECT_TIMEOUT_S)
            except (FileNotFoundError, ConnectionRefusedError):
                self._start(launcher)
                if not self.starting or time.monotonic() >= deadline:
                    raise
                time.sleep(POLL_S)
            else:
                # It may wait for the attendant's end; a child that is forked meanwhile has no part in this.
                with kept(found.fileno()):
                    launcher.arrived()
                self.starting = False
                return found

    @property
    def directory(self) -> Path | None:
        return self._state()

    @property
    def left_bounds(self) -> LeftBounds:
        return self._state.bounds

    def heritage(self) -> list[Path]:
        # Its shipper looks for itself.
        return []

    def again(self) -> socket.socket:
        return connected(self._path, CONNECT_TIMEOUT_S)

    def supersede(self) -> None:
        try:
            (self._launcher or self._prepare()).supersede()
        except OSError as error:
            say("not superseded", "an older version's shipper serves, and ours cannot be started: %s", error)

    def leave_off(self) -> None:
        self.starting = False
        if self._launcher is not None:
            self._launcher.abandon()

    def abandon(self) -> None:
        self._state.forget()
        self.leave_off()
        self._launcher = None

    def _prepare(self) -> Launcher:
        directory = self._state()
        self._path = directory / SOCKET_NAME
        self._launcher = Launcher(directory, self._options)
        return self._launcher

    def _start(self, launcher: Launcher) -> None:
        try:
            self.starting = launcher.step()
        except BaseException:
            self.starting = False
            raise


class AutoDialer:
    """The standalone shipper if it listens, else the embedded one (TRANSPORT ``auto``)."""

    def __init__(self, standalone: Dialer, embedded: Dialer) -> None:
        self._standalone = standalone
        self._embedded = embedded
        self._wait_until: float | None = None
        self._served_by_standalone = False

    @property
    def starting(self) -> bool:
        return self._embedded.starting

    @property
    def directory(self) -> Path | None:
        return self._embedded.directory

    @property
    def left_bounds(self) -> LeftBounds:
        return self._embedded.left_bounds

    def heritage(self) -> list[Path]:
        return self._serving.heritage()

    def again(self) -> socket.socket:
        return self._serving.again()

    def supersede(self) -> None:
        self._serving.supersede()

    @property
    def _serving(self) -> Dialer:
        return self._standalone if self._served_by_standalone else self._embedded

    def __call__(self) -> socket.socket:
        try:
            found = self._standalone()
        except OSError:
            if self._may_come_back():
                raise
            return self._embedded()
        with kept(found.fileno()):
            self._embedded.leave_off()
        self._served_by_standalone, self._wait_until = True, None
        return found

    def leave_off(self) -> None:
        self._embedded.leave_off()

    def abandon(self) -> None:
        self._embedded.abandon()

    def _may_come_back(self) -> bool:
        if not self._served_by_standalone:
            return False
        if self._wait_until is None:
            self._wait_until = time.monotonic() + STANDALONE_GRACE_S
        self._served_by_standalone = time.monotonic() < self._wait_until
        return self._served_by_standalone

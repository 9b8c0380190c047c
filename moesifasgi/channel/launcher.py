"""Start the embedded shipper: one for all workers that share a state directory.

The shipper is a fresh interpreter in a session of its own, not a fork of the application: no descriptor,
signal or thread of the worker goes into it, and it outlives the worker that started it. A lock file keeps two
workers from starting one each; the shipper's own lock on its spool makes sure that only one serves.
"""

import errno
import fcntl
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from moesifasgi.channel import own_descriptors
from moesifasgi.channel.leftovers import LeftBounds
from moesifasgi.channel.retries import Retries
from moesifasgi.channel.shippers_environment import shippers_environment
from moesifasgi.channel.spawn import Spawned, reap_orphans, spawn
from moesifasgi.places import LAUNCH_LOCK_NAME, LOG_NAME

START_TIMEOUT_S = 15.0
"""A shipper that has not answered for so long after its start is given up; it takes 0.3 s on an idle core."""
LOG_MAX_BYTES = 1_000_000
_BOOTSTRAP = str(Path(__file__).with_name("bootstrap.py"))


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """What an embedded shipper is told at its start; what concerns one application travels in HELLO."""

    linger_s: float = 10.0
    durability: str = "normal"
    spool_max_bytes: int = 1 << 30
    spool_min_free_bytes: int = 256 << 20
    debug: bool = False

    @property
    def left_bounds(self) -> LeftBounds:
        """What workers may leave behind of their own: no more than it may spool."""
        return LeftBounds(self.spool_max_bytes, self.spool_min_free_bytes)

    def arguments(self, directory: Path) -> list[str]:
        return [
            "embedded",
            f"--dir={directory}",
            f"--linger={self.linger_s:g}",
            f"--durability={self.durability}",
            f"--spool-max-bytes={self.spool_max_bytes}",
            f"--spool-min-free-bytes={self.spool_min_free_bytes}",
            *(["--debug"] if self.debug else []),
        ]


class Launcher:
    """Starts a shipper for ``directory`` when asked, unless somebody is at it. Used by one thread."""

    def __init__(self, directory: Path, options: ShipperOptions) -> None:
        self._directory = directory
        self._options = options
        self._lock: int | None = None
        self._child: Spawned | None = None
        self._busy_since: float | None = None
        """Since when somebody else is at it."""
        self._started_at = 0.0
        self._retries = Retries()
        self._superseding_until = 0.0
        self._was_in_vain = False
        """A start found another one at work, and nobody has answered since."""

    def step(self) -> bool:
        """Nobody listens: see to it that a shipper is being started. True while one is on its way.

        OSError where it cannot be started at all.
        """
        self._retries.missed(time.monotonic())
        if self._child is not None:
            return self._still_coming(self._child)
        if not self._retries.is_due(time.monotonic()):
            return False
        if not self._acquire():
            return self._somebody_is_at_it()
        self._spawn()
        return True

    def supersede(self) -> None:
        """An older version's shipper serves: start ours in its place, unless somebody is at it.

        Our lock keeps workers of that version from starting one of theirs in between.
        """
        now = time.monotonic()
        if self._retries.is_due(now) and now >= self._superseding_until and self._acquire():
            self._superseding_until = now + START_TIMEOUT_S
            self._spawn("--supersede")

    def arrived(self) -> None:
        """It answers: it is nobody's child now, and other workers may see to the next one."""
        reap_orphans()
        self._let_go()
        self._release()
        self._retries.came(time.monotonic())
        self._busy_since = None
        self._was_in_vain = False

    def abandon(self) -> None:
        """Wait for no start any more. In a forked child: the lock and the process are the parent's."""
        self._let_go()
        self._release()

    def _somebody_is_at_it(self) -> bool:
        """Whether that is worth waiting for: for as long as a start may take."""
        now = time.monotonic()
        self._busy_since = self._busy_since or now
        return now - self._busy_since < START_TIMEOUT_S

    def _still_coming(self, child: Spawned) -> bool:
        if not child.has_ended():
            if time.monotonic() - self._started_at < START_TIMEOUT_S:
                return True
            child.terminate()
            self._failed()
            return False
        in_good_order = child.in_good_order()
        if in_good_order and not self._was_in_vain:
            # It found another one at work, which is about to answer: begin afresh.
            self._was_in_vain = True
            self.abandon()
            return True
        self._failed()
        if in_good_order:
            raise ChildProcessError(f"the spool in {self._directory} is in use by a shipper elsewhere")
        raise ChildProcessError(f"the shipper ended at its start; see {self._log_path}")

    def _failed(self) -> None:
        self.abandon()
        self._retries.failed(time.monotonic())

    def _spawn(self, *more: str) -> None:
        """Whatever goes wrong: the lock is let go, and the next try has time."""
        try:
            if not sys.executable:
                raise FileNotFoundError(errno.ENOENT, "this process knows no interpreter (sys.executable)")
            self._spawn_now(*more)
        except BaseException:
            self._failed()
            raise

    def _spawn_now(self, *more: str) -> None:
        log = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(log).st_size > LOG_MAX_BYTES:
                os.ftruncate(log, 0)
            arguments = [*self._options.arguments(self._directory), *more]
            argv = [sys.executable, "-P", _BOOTSTRAP, "-m", "moesifasgi.shipper", *arguments]
            self._child = spawn(argv, shippers_environment(os.environ), log)
        finally:
            os.close(log)
        self._started_at = time.monotonic()

    def _let_go(self) -> None:
        if self._child is not None:
            self._child.let_go()
            self._child = None

    @property
    def _log_path(self) -> Path:
        return self._directory / LOG_NAME

    def _acquire(self) -> bool:
        path = self._directory / LAUNCH_LOCK_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        own_descriptors.keep(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            own_descriptors.let_go(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._lock = descriptor
        self._busy_since = None
        return True

    def _release(self) -> None:
        # Forgotten first: a child that is forked while it is being closed has nothing to close.
        lock, self._lock = self._lock, None
        if lock is not None:
            own_descriptors.let_go(lock)

"""What systemd and the shipper tell each other: readiness, liveness, and a socket that was opened for it.

Plain datagrams and inherited descriptors, see sd_notify(3) and sd_listen_fds(3). Where systemd has not
started this process, nothing is said and nothing is inherited.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from typing import Self, TextIO

FIRST_DESCRIPTOR = 3
"""Where inherited sockets begin, by sd_listen_fds(3)."""
PATIENCE_S = 1.0
"""How long a message may wait for a service manager that does not read."""
_OWN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")

_JOURNAL_LEVELS = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class Manager:
    """The service manager, if there is one. Any thread may speak; what it cannot be told is lost."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        """``watchdog_s``: it ends a process from which it hears nothing for so long; None: it does not."""
        self.watchdog_s = watchdog_s
        self._address = address.replace("@", "\0", 1) if address else None
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(PATIENCE_S)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int) -> Self:
        """As NOTIFY_SOCKET and WATCHDOG_USEC say, unless the latter is meant for another process."""
        watched = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        microseconds = environ.get("WATCHDOG_USEC", "") if watched else ""
        watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() else 0.0
        return cls(environ.get("NOTIFY_SOCKET") or None, watchdog_s or None)

    @property
    def is_there(self) -> bool:
        return self._socket is not None

    def ready(self) -> None:
        """It serves, for the first time or again after a reload."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """It reads its configuration anew; ``ready`` ends that."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, within_s: float) -> None:
        """It has begun to leave, and needs so long at most, whatever the unit says."""
        self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within_s * 1e6)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._tell("WATCHDOG=1")

    def say(self, line: str) -> None:
        """What ``systemctl status`` shows."""
        self._tell(f"STATUS={' '.join(line.split())}")

    def close(self) -> None:
        """May be called twice."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _tell(self, message: str) -> None:
        if self._socket is not None and self._address is not None:
            # A manager that is gone, or a full queue: this process goes on all the same.
            with contextlib.suppress(OSError):
                self._socket.sendto(message.encode(), self._address)


def is_activated(environ: Mapping[str, str], pid: int) -> bool:
    """Whether systemd passed sockets to this process."""
    return environ.get("LISTEN_PID") == str(pid) and environ.get("LISTEN_FDS", "").isdecimal()


def inherited_listener(environ: Mapping[str, str], pid: int) -> socket.socket | None:
    """The socket that systemd listens on for us; None if there is none.

    OSError where it passed something else than one listening Unix stream socket.
    """
    if not is_activated(environ, pid):
        return None
    if (count := int(environ["LISTEN_FDS"])) != 1:
        raise OSError(f"expected one socket of systemd, got {count}: one ListenStream= in the .socket unit")
    inherited = socket.socket(fileno=FIRST_DESCRIPTOR)
    if not _is_listening_unix_stream(inherited):
        inherited.detach()
        raise OSError("expected a listening Unix stream socket of systemd: ListenStream= with a path")
    inherited.setblocking(False)
    inherited.set_inheritable(False)
    return inherited


class JournalFormatter(logging.Formatter):
    """Lines that carry their level, as sd-daemon(3) has it, so that journald can tell them apart."""

    def format(self, record: logging.LogRecord) -> str:
        level = next(number for least, number in _JOURNAL_LEVELS if record.levelno >= least)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())


def is_journal(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Whether what is written there goes to journald: JOURNAL_STREAM names the device and inode of it."""
    if not (named := environ.get("JOURNAL_STREAM")):
        return False
    found = os.fstat(stream.fileno())
    return named == f"{found.st_dev}:{found.st_ino}"


def forget(environ: MutableMapping[str, str]) -> None:
    """What was meant for this process must not reach those that it starts."""
    for name in _OWN:
        environ.pop(name, None)


def _is_listening_unix_stream(found: socket.socket) -> bool:
    if found.family != socket.AF_UNIX or found.type != socket.SOCK_STREAM:
        return False
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

"""A service manager of one shipper: what systemd does for it, as far as a test has to see it.

It listens at NOTIFY_SOCKET, holds the shipper's listening socket and passes it on, and keeps what it was told
with the time. It ends nothing by itself: when the watchdog starves, that is for the test to see and to do.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from lab.processes import eventually
from moesifasgi.places import SOCKET_NAME

LOG_NAME = "log"
READY_IN_S = 20.0
_TAKES_THE_SOCKET = 'exec 3<&0 0</dev/null; LISTEN_PID=$$ exec "$@"'
"""It comes as standard input. LISTEN_PID has to be the pid of who takes it: a shell becomes that process."""


class Told(NamedTuple):
    """One message, and when it came in monotonic seconds."""

    at: float
    lines: tuple[str, ...]


class ServiceManager:
    """Of the shipper over ``directory``. ``abstract``: NOTIFY_SOCKET has no place in the file system."""

    def __init__(self, directory: Path, *, watchdog_s: float | None = None, abstract: bool = False) -> None:
        self.directory = directory
        self.told: list[Told] = []
        self._watchdog_s = watchdog_s
        self._inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._inbox.bind(f"\0{directory}/notify" if abstract else str(directory / "notify"))
        self._address = f"@{directory}/notify" if abstract else str(directory / "notify")
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._hear, name="service-manager", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inbox.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._inbox.close()
        if self._listener is not None:
            self._listener.close()

    @property
    def path(self) -> Path:
        """Of the shipper's socket."""
        return self.directory / SOCKET_NAME

    def listen(self, made: socket.socket | None = None) -> None:
        """From now on shippers are passed this socket; None: the right one."""
        if made is None:
            made = socket.socket(socket.AF_UNIX)
            made.bind(str(self.path))
            made.listen(64)
        self._listener = made

    @contextmanager
    def service(
        self,
        *options: str,
        environ: Mapping[str, str] | None = None,
        command: tuple[str, ...] = (),
        module: str = "moesifasgi.shipper",
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """``moesif-shipper run`` until the block ends. ``command`` stands before the interpreter's."""
        argv = [*command, sys.executable, "-P", "-m", module, "run"]
        argv += [f"--spool-dir={self.directory}", f"--socket={self.path}", *options]
        with (self.directory / LOG_NAME).open("ab") as log:
            popen = self._start(argv, {**os.environ, **self._environ(), **(environ or {})}, log.fileno())
        with popen:
            try:
                yield popen
            finally:
                popen.kill()

    def await_ready(self, after: int = 0) -> None:
        """Until READY=1 was told, behind so many messages."""
        try:
            eventually(lambda: self.count("READY=1", after), READY_IN_S, "it is ready")
        except AssertionError as error:
            raise AssertionError(self.log()) from error

    def count(self, line: str, after: int = 0) -> int:
        """How often that was told, behind so many messages."""
        return sum(line in told.lines for told in self.told[after:])

    def fed_at(self) -> float:
        """When the watchdog was last fed."""
        return max((told.at for told in self.told if "WATCHDOG=1" in told.lines), default=0.0)

    def starved(self) -> bool:
        """Whether systemd would end the shipper now."""
        assert self._watchdog_s is not None
        return 0.0 < self.fed_at() < time.monotonic() - self._watchdog_s

    def end_starved(self, popen: "subprocess.Popen[bytes]") -> None:
        """What systemd does then.

        The interpreter prints the tracebacks of threads that run on, and may fall over one of them.
        """
        popen.send_signal(signal.SIGABRT)
        assert popen.wait(10.0) in (-signal.SIGABRT, -signal.SIGSEGV)

    def log(self) -> str:
        path = self.directory / LOG_NAME
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _environ(self) -> dict[str, str]:
        made = {"NOTIFY_SOCKET": self._address}
        if self._watchdog_s is not None:
            made["WATCHDOG_USEC"] = str(int(self._watchdog_s * 1e6))
        if self._listener is not None:
            made["LISTEN_FDS"] = "1"
        return made

    def _start(self, argv: list[str], environ: Mapping[str, str], log: int) -> "subprocess.Popen[bytes]":
        if self._listener is not None:
            argv = ["sh", "-c", _TAKES_THE_SOCKET, "sh", *argv]
        given = subprocess.DEVNULL if self._listener is None else self._listener.fileno()
        return subprocess.Popen(argv, cwd="/", env=environ, stdin=given, stdout=log, stderr=log)

    def _hear(self) -> None:
        while data := self._inbox.recv(4096):
            self.told.append(Told(time.monotonic(), tuple(data.decode().splitlines())))

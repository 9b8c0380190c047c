"""Real ASGI servers as subprocesses: started as a user would, awaited, and cleaned up with all they started.

A server counts as up when it answers a malformed request: the server itself refuses that, so no application
code runs and nothing is captured because of the waiting.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from lab.commands import HOST, ServerName, command, serves_itself
from lab.processes import bearing, eventually, has_ended, is_housekeeper, is_shipper, kill_all, marked

START_TIMEOUT_S = 30.0
_PROBE_TIMEOUT_S = 1.0
_NO_HTTP = b"this is no HTTP\r\n\r\n"

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Before a server's command: it is the first process of a PID namespace, and all in it die with it."""


def no_container() -> str | None:
    """Why nothing can be run in a PID namespace here; None if it can."""
    tried = subprocess.run([*CONTAINER, "true"], capture_output=True) if shutil.which("unshare") else None
    return None if tried is not None and not tried.returncode else "needs the right to make a PID namespace"


class Exit(NamedTuple):
    """How a server ended. A negative code is the signal that ended it."""

    code: int
    seconds: float
    """From the signal to the end of the server's main process."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; ``pid`` is its main process (uvicorn with one worker: the worker too)."""

    url: str
    """Base URL without a slash at the end; its host and port mean nothing if ``uds`` is set."""
    uds: Path | None
    log_file: Path
    popen: subprocess.Popen[bytes]
    mark: str
    serves_itself: bool
    """Whether the main process runs the application, with no worker below it."""
    in_container: bool

    @property
    def pid(self) -> int:
        if self.in_container:
            (first,) = psutil.Process(self.popen.pid).children()
            return int(first.pid)
        return self.popen.pid

    def worker_pids(self) -> list[int]:
        """The processes that the application runs in; empty once the server is gone."""
        return [worker.pid for worker in self._workers()]

    def descendants(self) -> list[psutil.Process]:
        """All that this server started and that still lives, shippers in sessions of their own included."""
        return bearing(self.mark)

    def terminate(self, timeout: float = 10.0) -> Exit:
        """SIGTERM to the main process, and how it ended. AssertionError with the log unless in time."""
        return self.end(signal.SIGTERM, timeout)

    def end(self, number: signal.Signals, timeout: float = 10.0) -> Exit:
        """As ``terminate``, by another signal."""
        began = time.monotonic()
        os.kill(self.pid, number)
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the server outlived {number.name} by {timeout:g} s:\n{self.log()}"
            ) from None
        return Exit(code, time.monotonic() - began)

    def kill(self) -> None:
        """SIGKILL to the main process and its workers at once; what else they started lives on."""
        workers = self._workers()
        self.popen.kill()
        kill_all(workers)
        self.popen.wait()

    def log(self) -> str:
        """What the server and its workers have printed so far."""
        return self.log_file.read_text("utf-8", "replace")

    def _workers(self) -> list[psutil.Process]:
        try:
            main = psutil.Process(self.pid)
            if self.serves_itself:
                return [main]
            children = main.children()
        except (psutil.NoSuchProcess, ValueError):
            return []
        living = [each for each in children if not has_ended(each)]
        return [each for each in living if not is_housekeeper(each) and not is_shipper(each)]


@contextmanager
def running(
    server: ServerName = "uvicorn",
    app: str = "app:app",
    workers: int = 4,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    uds: Path | str | None = None,
    extra: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Iterator[Server]:
    """Run ``app`` ("module:name", importable from ``cwd``) on a real server until the block ends.

    ``env`` is added to our environment. ``extra`` are further command-line options, ``prefix`` goes before
    the command. AssertionError with the server's log if it does not answer within 30 s. Whatever it started
    is killed at the end.
    """
    socket_path = None if uds is None else Path(uds)
    with tempfile.NamedTemporaryFile(prefix="lab-", suffix=".log") as log, closing(_reserved_port()) as held:
        port = held.getsockname()[1]
        argv = [*prefix, *command(server, app, workers, port, socket_path), *extra]
        environment, mark = marked({**os.environ, **(env or {})})
        popen = _start(argv, cwd, environment, log)
        started = Server(
            url=f"http://{HOST}:{port}",
            uds=socket_path,
            log_file=Path(log.name),
            popen=popen,
            mark=mark,
            serves_itself=serves_itself(server, workers, tuple(extra)),
            in_container=tuple(prefix)[-len(CONTAINER) :] == CONTAINER,
        )
        try:
            _await_answer(started, workers)
            yield started
        finally:
            kill_all(started.descendants())
            popen.wait()


def connection_to(server: Server) -> socket.socket:
    """A connected stream socket, whichever kind of address the server listens on. OSError if refused."""
    if server.uds is None:
        return socket.create_connection((HOST, int(server.url.rpartition(":")[2])), _PROBE_TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_PROBE_TIMEOUT_S)
    try:
        connection.connect(str(server.uds))
    except OSError:
        connection.close()
        raise
    return connection


def _reserved_port() -> socket.socket:
    # Bound but not listening: with SO_REUSEADDR the server may bind the port as well, nobody is given it.
    held = socket.socket(socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, 0))
    return held


def _start(
    command: Sequence[str], cwd: Path | str | None, env: Mapping[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _await_answer(server: Server, workers: int) -> None:
    def is_up() -> bool:
        if server.popen.poll() is not None:
            raise AssertionError(f"the server left with {server.popen.returncode}:\n{server.log()}")
        return _answers(server) and len(server.worker_pids()) >= workers

    try:
        eventually(is_up, START_TIMEOUT_S, "the server answers")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{server.log()}") from None


def _answers(server: Server) -> bool:
    try:
        with connection_to(server) as connection:
            connection.sendall(_NO_HTTP)
            connection.recv(1)
    except OSError:
        return False
    return True

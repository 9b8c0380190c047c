"""Real ASGI servers as subprocesses: started as a user would, awaited, and cleaned up with all they started.

A server counts as up when it answers a malformed request: the server itself refuses that, so no application
code runs and nothing is captured because of the waiting.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, NamedTuple

import psutil

from lab.processes import bearing, eventually, is_housekeeper, is_shipper, kill_all, marked

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
_PROBE_TIMEOUT_S = 1.0
_NO_HTTP = b"this is no HTTP\r\n\r\n"

ServerName = Literal["uvicorn", "gunicorn", "hypercorn", "granian"]
"""The last two speak HTTP/2 as well, without TLS, to a client that begins with it. Granian does not leave on
a SIGTERM that comes before its last worker has started: give it one worker."""


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

    @property
    def pid(self) -> int:
        return self.popen.pid

    def worker_pids(self) -> list[int]:
        """The processes that the application runs in; empty once the server is gone."""
        return [worker.pid for worker in self._workers()]

    def descendants(self) -> list[psutil.Process]:
        """All that this server started and that still lives, shippers in sessions of their own included."""
        return bearing(self.mark)

    def terminate(self, timeout: float = 10.0) -> Exit:
        """SIGTERM to the main process, and how it ended. AssertionError with the log unless in time."""
        began = time.monotonic()
        self.popen.terminate()
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server outlived SIGTERM by {timeout:g} s:\n{self.log()}") from None
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
        except psutil.NoSuchProcess:
            return []
        return [each for each in children if not is_housekeeper(each) and not is_shipper(each)]


@contextmanager
def running(
    server: ServerName = "uvicorn",
    app: str = "app:app",
    workers: int = 4,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    uds: Path | str | None = None,
    extra: Sequence[str] = (),
) -> Iterator[Server]:
    """Run ``app`` ("module:name", importable from ``cwd``) on a real server until the block ends.

    ``env`` is added to our environment. ``extra`` are further command-line options. AssertionError with the
    server's log if it does not answer within 30 s. Whatever it started is killed at the end.
    """
    socket_path = None if uds is None else Path(uds)
    with tempfile.NamedTemporaryFile(prefix="lab-", suffix=".log") as log, closing(_reserved_port()) as held:
        port = held.getsockname()[1]
        command = [*_COMMANDS[server](app, workers, port, socket_path), *extra]
        environment, mark = marked({**os.environ, **(env or {})})
        popen = _start(command, cwd, environment, log)
        serves_itself = server == "uvicorn" and workers == 1
        started = Server(f"http://{HOST}:{port}", socket_path, Path(log.name), popen, mark, serves_itself)
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


def _uvicorn(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    address = ["--uds", str(uds)] if uds else ["--host", HOST, "--port", str(port)]
    return [sys.executable, "-m", "uvicorn", app, "--workers", str(workers), *address]


def _gunicorn(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    address = f"unix:{uds}" if uds else f"{HOST}:{port}"
    options = ["--worker-class", "uvicorn_worker.UvicornWorker", "--workers", str(workers), "--bind", address]
    return [sys.executable, "-m", "gunicorn", app, "--no-control-socket", *options]


def _hypercorn(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    address = f"unix:{uds}" if uds else f"{HOST}:{port}"
    return [sys.executable, "-m", "hypercorn", app, "--workers", str(workers), "--bind", address]


def _granian(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    address = ["--uds", str(uds)] if uds else ["--host", HOST, "--port", str(port)]
    options = ["--interface", "asgi", "--workers", str(workers), *address]
    return [sys.executable, "-m", "granian", *options, app]


_COMMANDS = {"uvicorn": _uvicorn, "gunicorn": _gunicorn, "hypercorn": _hypercorn, "granian": _granian}


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

"""Every server as people run it, and every way in which its workers end."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil

from lab.commands import ServerName
from lab.processes import eventually
from lab.servers import CONTAINER, Server

REPLACED_WITHIN_S = 30.0
MAX_REQUESTS = 200


class Way(Enum):
    """How a worker comes to its end."""

    SIGTERM = "SIGTERM"
    SIGINT = "SIGINT"
    SIGQUIT = "SIGQUIT"
    SIGHUP = "SIGHUP"
    MAX_REQUESTS = "max requests"
    FILE_CHANGE = "file change"
    UPGRADE = "USR2 upgrade"
    ABORT = "time-out abort"
    GRACE_OVER = "grace over"

    @property
    def number(self) -> signal.Signals:
        """The signal that it is named after."""
        return signal.Signals[self.value]


SIGNALS = (Way.SIGTERM, Way.SIGINT)


@dataclass(frozen=True, slots=True)
class Setup:
    """One server, run in one way."""

    name: str
    server: ServerName
    workers: int
    ends: tuple[Way, ...] = SIGNALS
    """The ways in which the server as a whole ends."""
    goes_on: tuple[Way, ...] = ()
    """The ways in which its workers are replaced, while the server goes on."""
    kills: tuple[Way, ...] = ()
    """Those of the above that no program survives to do anything more: as SIGKILL."""
    options: tuple[str, ...] = ()
    lifespan: bool = True
    """Whether the application hears of its end."""
    prefix: tuple[str, ...] = ()
    limit_option: str = "--max-requests"

    @property
    def ways(self) -> tuple[Way, ...]:
        return (*self.ends, *self.goes_on)

    def can_have(self, transport: str) -> bool:
        """Whether events may travel so here: a queue is for servers whose master forks its workers."""
        return transport != "queue" or self.server.startswith("gunicorn")

    def options_for(self, way: Way, transport: str = "auto") -> tuple[str, ...]:
        """Those of the setup, and what this way and this transport need."""
        options = list(self.options)
        if transport == "queue":
            options += ["-c", "python:moesifasgi.gunicorn"]
        if self.server.startswith("gunicorn"):
            # On SIGQUIT and SIGINT uvicorn's worker does not leave by itself: gunicorn kills it after this.
            options += ["--graceful-timeout", "2"]
        if way is Way.MAX_REQUESTS:
            options += [self.limit_option, str(MAX_REQUESTS)]
        if way is Way.ABORT:
            options += ["--timeout", "2"]
        return tuple(options)


_GUNICORN_ENDS = (Way.SIGTERM, Way.SIGINT, Way.SIGQUIT, Way.GRACE_OVER)
_GUNICORN_GOES_ON = (Way.SIGHUP, Way.MAX_REQUESTS, Way.UPGRADE, Way.ABORT)
_GUNICORN = {"ends": _GUNICORN_ENDS, "goes_on": _GUNICORN_GOES_ON, "kills": (Way.ABORT,)}
_UVICORN_LIMIT = "--limit-max-requests"
_KILLED = (Way.SIGHUP, Way.SIGQUIT)

SETUPS: tuple[Setup, ...] = (
    Setup(
        "uvicorn",
        "uvicorn",
        1,
        ends=(*SIGNALS, *_KILLED, Way.MAX_REQUESTS),
        kills=_KILLED,
        limit_option=_UVICORN_LIMIT,
    ),
    Setup(
        "uvicorn, several workers",
        "uvicorn",
        2,
        goes_on=(Way.SIGHUP, Way.MAX_REQUESTS),
        limit_option=_UVICORN_LIMIT,
    ),
    Setup("uvicorn --reload", "uvicorn", 1, goes_on=(Way.FILE_CHANGE,), options=("--reload",)),
    Setup(
        "uvicorn --lifespan off",
        "uvicorn",
        1,
        ends=(*SIGNALS, *_KILLED, Way.MAX_REQUESTS),
        kills=_KILLED,
        options=("--lifespan", "off"),
        lifespan=False,
        limit_option=_UVICORN_LIMIT,
    ),
    Setup("gunicorn, uvicorn-worker", "gunicorn", 2, **_GUNICORN),
    Setup("gunicorn --preload, uvicorn-worker", "gunicorn", 2, options=("--preload",), **_GUNICORN),
    Setup("gunicorn, asgi worker", "gunicorn-asgi", 2, **_GUNICORN),
    Setup("gunicorn --preload, asgi worker", "gunicorn-asgi", 2, options=("--preload",), **_GUNICORN),
    Setup("hypercorn, asyncio", "hypercorn", 2, goes_on=(Way.MAX_REQUESTS,)),
    Setup(
        "hypercorn, uvloop", "hypercorn", 2, goes_on=(Way.MAX_REQUESTS,), options=("--worker-class", "uvloop")
    ),
    Setup("hypercorn, trio", "hypercorn", 2, goes_on=(Way.MAX_REQUESTS,), options=("--worker-class", "trio")),
    Setup("granian", "granian", 1, goes_on=(Way.SIGHUP,)),
    Setup("daphne", "daphne", 1, lifespan=False),
    Setup("uvicorn, first in a container", "uvicorn", 1, ends=(Way.SIGTERM,), prefix=CONTAINER),
    Setup("gunicorn, first in a container", "gunicorn", 2, ends=(Way.SIGTERM,), prefix=CONTAINER),
)
BY_NAME = {setup.name: setup for setup in SETUPS}


def replace_workers(
    server: Server, way: Way, application: Path, ask: Callable[[str], None]
) -> psutil.Process:
    """Have all workers of a running server replaced; returns the main process when others serve.

    ``ask`` makes a request of a path without waiting for its answer.
    """
    before = set(server.worker_pids())
    main = psutil.Process(server.pid)
    if way is Way.UPGRADE:
        return _upgraded(server, main)
    if way is Way.SIGHUP:
        main.send_signal(signal.SIGHUP)
    elif way is Way.FILE_CHANGE:
        application.write_text(application.read_text("utf-8") + "\n", "utf-8")
    elif way is Way.ABORT:
        ask("/block")

    def replaced() -> bool:
        now = set(server.worker_pids())
        gone = before - now if way is Way.ABORT else not before & now
        return bool(gone) and len(now) >= len(before)

    eventually(replaced, REPLACED_WITHIN_S, f"workers are replaced after {way.value}:\n{server.log()}")
    return main


def _upgraded(server: Server, older: psutil.Process) -> psutil.Process:
    """Gunicorn's second master, of the new code, when it serves and the first has left."""
    workers = set(older.children())
    older.send_signal(signal.SIGUSR2)

    def newer() -> psutil.Process | None:
        return next((each for each in set(older.children()) - workers if len(each.children()) >= 2), None)

    main = eventually(newer, REPLACED_WITHIN_S, f"a second master serves:\n{server.log()}")
    server.terminate(REPLACED_WITHIN_S)
    return main

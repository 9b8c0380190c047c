"""How each ASGI server is told to serve an application, as its user would type it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

HOST = "127.0.0.1"

ServerName = Literal["uvicorn", "gunicorn", "gunicorn-asgi", "hypercorn", "granian", "daphne"]
"""``gunicorn`` has uvicorn's worker, ``gunicorn-asgi`` its own. Hypercorn and granian speak HTTP/2 as well,
without TLS, to a client that begins with it. Granian does not leave on a SIGTERM that comes before its last
worker has started: give it one worker. Daphne has one process and knows no lifespan."""

Command = Callable[[str, int, int, Path | None], list[str]]
"""Application, workers, port, Unix socket (in place of the port)."""


def _uvicorn(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    return ["uvicorn", app, "--workers", str(workers), *_address(port, uds)]


def _gunicorn(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    return _gunicorn_with("uvicorn_worker.UvicornWorker", app, workers, port, uds)


def _gunicorn_asgi(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    return _gunicorn_with("asgi", app, workers, port, uds)


def _gunicorn_with(kind: str, app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    options = ["--worker-class", kind, "--workers", str(workers), "--bind", _bound(port, uds)]
    return ["gunicorn", app, "--no-control-socket", *options]


def _hypercorn(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    return ["hypercorn", app, "--workers", str(workers), "--bind", _bound(port, uds)]


def _granian(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    return ["granian", "--interface", "asgi", "--workers", str(workers), *_address(port, uds), app]


def _daphne(app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    if workers != 1:
        raise ValueError("daphne has one process")
    address = ["--unix-socket", str(uds)] if uds else ["--bind", HOST, "--port", str(port)]
    return ["daphne", *address, app]


def _address(port: int, uds: Path | None) -> list[str]:
    return ["--uds", str(uds)] if uds else ["--host", HOST, "--port", str(port)]


def _bound(port: int, uds: Path | None) -> str:
    return f"unix:{uds}" if uds else f"{HOST}:{port}"


_COMMANDS: dict[ServerName, Command] = {
    "uvicorn": _uvicorn,
    "gunicorn": _gunicorn,
    "gunicorn-asgi": _gunicorn_asgi,
    "hypercorn": _hypercorn,
    "granian": _granian,
    "daphne": _daphne,
}


def command(server: ServerName, app: str, workers: int, port: int, uds: Path | None) -> list[str]:
    """The argv, without further options."""
    program, *arguments = _COMMANDS[server](app, workers, port, uds)
    if program == "gunicorn":
        # Its upgrade (USR2) begins itself anew by what it was called, which has to be a program.
        return [str(Path(sys.executable).with_name(program)), *arguments]
    return [sys.executable, "-m", program, *arguments]


def serves_itself(server: ServerName, workers: int, extra: tuple[str, ...]) -> bool:
    """Whether the main process runs the application, with no worker below it."""
    return server == "daphne" or (server == "uvicorn" and workers == 1 and "--reload" not in extra)

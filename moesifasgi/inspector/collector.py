"""The stand-in for Moesif's collector as one object, and as a program that runs until it is told to stop."""

import contextlib
import ipaddress
import logging
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from moesifasgi.inspector.arrival_log import ArrivalLog
from moesifasgi.inspector.behaviour import Behaviour, Script
from moesifasgi.inspector.connection import Connection
from moesifasgi.inspector.contract import Contract, Strictness
from moesifasgi.inspector.control import PREFIX, Control
from moesifasgi.inspector.dashboard import Dashboard
from moesifasgi.inspector.server import Server
from moesifasgi.inspector.store import MAX_IDS, Store

_LOGGER = logging.getLogger(__name__)
_ACCEPT_POLL_S = 0.02
"""How long ``close`` may wait for the accepting thread; the standard library's server has to be polled."""


class Collector:
    """A local collector. ``start`` after ``close`` listens on the same port again and keeps what arrived."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_events: int = 1000,
        log_file: Path | None = None,
        *,
        strict: Strictness = Strictness.BATCH,
        accepted_applications: Iterable[str] | None = None,
        max_ids: int = MAX_IDS,
    ) -> None:
        """Port 0: the system gives one at the first ``start``. ``log_file`` gets a line for each item."""
        self._host = host
        self._port = port
        self._log = ArrivalLog(log_file) if log_file else None
        self._script = Script()
        self._dashboard = Dashboard()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.store = Store(keep_events, max_ids, self._log)
        self._contract = Contract(self.store, self._dashboard)
        self._control = Control(self.store, self._dashboard, self._script)
        self.be_strict(strict)
        self.accept(accepted_applications)

    def start(self) -> Self:
        """Listen. OSError if the address cannot be bound; RuntimeError if it is already started."""
        if self._server is not None:
            raise RuntimeError("the collector is already started")
        if not is_loopback(self._host):
            _LOGGER.warning("the inspector listens on %s: whoever reaches it can read all events", self._host)
        address = (self._host, self._port)
        self._server = Server(address, Connection, self._contract, self._control, self._script, self.store)
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_ACCEPT_POLL_S,), name="inspector", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """Release hanging requests, end all connections, free the port. May be called twice."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.close()
            self._thread.join()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port listened on; before the first start, what was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """What a BASE_URI is set to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def behave(self, *behaviours: Behaviour | None) -> None:
        """From the next request on, misbehave so: each request meets the first that applies. None: behave."""
        self._script.follow(*behaviours)

    def be_strict(self, strict: Strictness) -> None:
        """What one invalid item costs from now on."""
        self._contract.strict = strict

    def accept(self, applications: Iterable[str] | None) -> None:
        """Answer all applications but these with 401; None: accept any."""
        accepted = None if applications is None else frozenset(applications)
        self._contract.accepted_applications = accepted

    def set_config(self, application_id: str | None, config: dict[str, Any]) -> None:
        """What ``GET /v1/config`` answers; None: to all applications without a configuration of their own."""
        self._dashboard.set_config(application_id, config)

    def set_rules(self, application_id: str | None, rules: list[Any]) -> None:
        """What ``GET /v1/rules`` answers; None: to all applications without rules of their own."""
        self._dashboard.set_rules(application_id, rules)

    def wait_for(self, predicate: Callable[[Store], object], timeout_s: float) -> bool:
        """Wait until the predicate is true of the store; False if it is not in time."""
        return self.store.wait_for(predicate, timeout_s)


def is_loopback(host: str) -> bool:
    """Whether only this host can connect to what listens there."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def serve(
    host: str = "127.0.0.1",
    port: int = 8025,
    keep_events: int = 1000,
    log_file: Path | None = None,
    *,
    strict: Strictness = Strictness.BATCH,
) -> None:
    """Run a collector until SIGINT or SIGTERM; prints one line with its address. Main thread only.

    OSError if the address cannot be bound.
    """
    ends = {signal.SIGINT, signal.SIGTERM}
    # Blocked before the collector's threads start, which inherit it: the signals then wait for sigwait.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with Collector(host, port, keep_events, log_file, strict=strict) as collector:
            click.echo(f"inspector: {collector.url}{PREFIX}/ (set BASE_URI to {collector.url})")
            if not is_loopback(host):
                click.echo(f"{host} is not loopback: whoever reaches it can read all events", err=True)
            signal.sigwait(ends)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

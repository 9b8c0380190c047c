"""A shipper as a process of its own, and workers in this one: the whole way of what the collector decided."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgpack

from lab.processes import eventually
from lab.status import status_at
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Collector
from moesifasgi.places import SOCKET_NAME
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

A, B = "a" * 56 + "AAAA", "b" * 56 + "BBBB"


class Worker:
    """A channel of one worker process, and the policies it heard of, by application."""

    def __init__(self, path: Path, applications: list[Application]) -> None:
        self.channel = UnixChannel(PathDialer(path), 1_000, 1_000_000)
        self.heard: dict[str, list[Any]] = {}
        self.keys = {each.application_id: self.channel.register(each) for each in applications}
        for application_id, key in self.keys.items():
            self.heard[application_id] = []
            self.channel.watch(key, self.heard[application_id].append)
        self.channel.start()

    def in_force(self, application_id: str = A) -> Any:
        """The policy heard of last; None before the first."""
        return self.heard[application_id][-1] if self.heard[application_id] else None


class OneShipper:
    """A shipper over a directory, and workers of it, which ``stack`` closes."""

    def __init__(self, directory: Path, collector: Collector, stack: ExitStack) -> None:
        self.path = directory / SOCKET_NAME
        self.collector = collector
        self._directory = directory
        self._stack = stack

    @contextmanager
    def shipper(self) -> Iterator["subprocess.Popen[bytes]"]:
        """It serves until the block ends."""
        argv = [sys.executable, "-m", "moesifasgi.shipper", "run", "--log-level=error"]
        options = [f"--spool-dir={self._directory}", f"--socket={self.path}"]
        with subprocess.Popen([*argv, *options], cwd="/") as process:
            try:
                eventually(self.status, 10.0, "the shipper answers")
                yield process
            finally:
                process.kill()

    def status(self) -> dict[str, Any]:
        """The status document; empty as long as nobody answers."""
        return status_at(self.path)

    def policy(self, label: str = "…AAAA") -> dict[str, Any]:
        """What status says of an application's policy."""
        found = self.status()["applications"].get(label, {})
        return found.get("policy") or {"state": None, "parked": []}

    def worker(self, *application_ids: str, base_uri: str | None = None) -> Worker:
        """One more worker process, as far as the shipper knows."""
        uri = base_uri or self.collector.url
        applications = [Application(each, base_uri=uri) for each in application_ids or (A,)]
        made = Worker(self.path, applications)
        self._stack.callback(made.channel.close)
        return made

    def upload(self, worker: Worker, application_id: str = A) -> None:
        """Traffic: what brings the collector's tags to the shipper."""
        event = {"time": "2099-01-01T10:00:00.000", "uri": "http://h/p", "verb": "GET", "headers": {}}
        packed = msgpack.packb({"transaction_id": str(uuid.uuid4()), "request": event})
        worker.channel.offer(Kind.EVENT, worker.keys[application_id], packed)

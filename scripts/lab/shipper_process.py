"""A shipper as a process of its own, a worker's channels to it, and what can be seen of it from outside."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lab.processes import eventually
from lab.status import status_at
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.spool import KeptDeadLetter
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

STARTS_IN_S = 10.0
RING_EVENTS, RING_BYTES = 1_000_000, 32 << 20
"""The defaults of EVENT_QUEUE_SIZE and EVENT_QUEUE_BYTES."""
FULL_SHARE = 0.5
"""Whoever feeds a channel as fast as it goes waits while its ring is fuller than that."""
PIECE = 500
LOG_NAME = "log"
CONFIGURATION_NAME = "shipper.toml"
_SPOOL_FILES = "spool*"


@dataclass(frozen=True, slots=True)
class ShipperProcess:
    """A running shipper over the spool in ``directory``."""

    directory: Path
    popen: "subprocess.Popen[bytes]"
    began: float
    """When it was started, in monotonic seconds."""

    @property
    def socket(self) -> Path:
        return self.directory / SOCKET_NAME

    def status(self) -> dict[str, Any]:
        """The status document; empty where nobody answers."""
        return status_at(self.socket)

    def counters(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status()["counters"]
        return found

    def spooled(self) -> int:
        """Events in the spool now."""
        return int(self.status()["spool"]["events"])

    def spool_bytes(self) -> int:
        """What the spool's files take on the disk."""
        return sum(file.stat().st_size for file in self.directory.glob(_SPOOL_FILES))

    def memory_bytes(self) -> int:
        return int(psutil.Process(self.popen.pid).memory_info().rss)

    def reload(self) -> None:
        """SIGHUP."""
        self.popen.send_signal(signal.SIGHUP)

    def log(self) -> str:
        """All that shippers in this directory have printed so far."""
        return (self.directory / LOG_NAME).read_text("utf-8", "replace")

    def terminate(self, timeout_s: float = 15.0) -> float:
        """SIGTERM; returns the seconds until it has ended. AssertionError if that was not in good order."""
        asked_at = time.monotonic()
        self.popen.terminate()
        code = self.popen.wait(timeout_s)
        assert code == 0, self.log()
        return time.monotonic() - asked_at


@contextmanager
def standalone(
    directory: Path,
    *extra: str,
    log_level: str = "info",
    configuration: str = "",
    prefix: Sequence[str] = (),
    successor: bool = False,
) -> Iterator[ShipperProcess]:
    """``moesif-shipper run`` over the spool in ``directory``; killed with the block if it still runs.

    ``configuration`` is the text of its file, ``prefix`` goes before the command. A ``successor`` takes over
    from one that runs.
    """
    file = directory / CONFIGURATION_NAME
    if configuration or not file.exists():
        configure(directory, configuration)
    places = [f"--config={file}", f"--spool-dir={directory}", f"--socket={directory / SOCKET_NAME}"]
    options = [*places, f"--log-level={log_level}", *(["--take-over"] if successor else []), *extra]
    with started(directory, "run", *options, prefix=prefix, answers=not successor) as shipper:
        if successor:
            pid = shipper.popen.pid
            eventually(lambda: shipper.status().get("pid") == pid, STARTS_IN_S, "the successor answers")
        yield shipper


def configure(directory: Path, text: str) -> None:
    """Give the shipper over ``directory`` this file; one that runs is to be told (``reload``)."""
    file = directory / CONFIGURATION_NAME
    file.touch(0o600)
    file.write_text(text, "utf-8")


@contextmanager
def embedded(directory: Path, *, spool_max_bytes: int) -> Iterator[ShipperProcess]:
    """A worker's own shipper, whose spool has the given bound; durable against the death of processes."""
    options = [
        f"--dir={directory}",
        "--linger=60",
        "--durability=normal",
        f"--spool-max-bytes={spool_max_bytes}",
        "--spool-min-free-bytes=0",
    ]
    with started(directory, "embedded", *options) as shipper:
        yield shipper


@contextmanager
def started(
    directory: Path, command: str, *options: str, prefix: Sequence[str] = (), answers: bool = True
) -> Iterator[ShipperProcess]:
    """The shipper's command with these options, from its first answer on (or not ``answers``: at once)."""
    argv = [*prefix, sys.executable, "-P", "-m", "moesifasgi.shipper", command, *options]
    began = time.monotonic()
    with (
        (directory / LOG_NAME).open("ab") as log,
        subprocess.Popen(argv, cwd="/", stdout=log, stderr=subprocess.STDOUT) as popen,
    ):
        shipper = ShipperProcess(directory, popen, began)
        try:
            if answers:
                eventually(shipper.status, STARTS_IN_S, "the shipper answers")
            yield shipper
        finally:
            popen.kill()


@contextmanager
def channel_to(shipper: ShipperProcess, *applications: Application) -> Iterator[UnixChannel]:
    """A worker's channel; the applications have the keys 0, 1 …"""
    channel = UnixChannel(PathDialer(shipper.socket), RING_EVENTS, RING_BYTES)
    for application in applications:
        channel.register(application)
    try:
        yield channel
    finally:
        channel.close()


def feed(channel: UnixChannel, calls: Iterable[tuple[str, bytes]], key: int = 0) -> set[str]:
    """Offer recorded calls as fast as the shipper takes them; returns their ids."""
    offered = set()
    for number, (made, payload) in enumerate(calls):
        if number % PIECE == 0:
            eventually(lambda: _has_room(channel), 30.0, "the shipper takes what is offered")
        channel.offer(Kind.RECORD, key, payload)
        offered.add(made)
    return offered


def dead_letters_in(directory: Path) -> list[KeptDeadLetter]:
    """What is kept in the spool of a shipper that has ended."""
    spool = open_spool(directory, max_bytes=1 << 30, min_free_bytes=0, durability="normal")
    try:
        return spool.dead_letters(1 << 20)
    finally:
        spool.close()


def _has_room(channel: UnixChannel) -> bool:
    return channel.stats()["ring_bytes"] < FULL_SHARE * RING_BYTES

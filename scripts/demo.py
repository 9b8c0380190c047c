"""The main job, to look at: an application on real workers, real traffic, a shipper, a local collector.

Runs examples/fastapi on uvicorn and on gunicorn, four workers each, sends real HTTP requests, stops the
server, and compares what was captured with what the collector has. Exits with 0 only if nothing is missing,
nothing came twice and no shipper is left.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from lab.load import LoadResult, send_mix
from lab.processes import eventually, shippers_of
from lab.servers import Server, ServerName, running

from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.tool import ask_status

REQUESTS = 2_000
WORKERS = 4
CONNECTIONS = 16
APPLICATION_ID = "demo-application-id-that-is-as-long-as-a-real-one-0123456789"
EXAMPLE = Path(__file__).parent.parent / "examples" / "fastapi"
SERVERS: tuple[ServerName, ...] = ("uvicorn", "gunicorn")
SHIPPER_LEAVES_S = 20.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one server's run showed."""

    server: str
    load: LoadResult
    workers: list[dict[str, Any]]
    """As the shipper's status named them just before the server was stopped."""
    shipper: dict[str, Any]
    collector: dict[str, Any]
    """The inspector's summary after the server had ended."""
    shippers_seen: int
    exit_seconds: float
    event: dict[str, Any]

    @property
    def captured(self) -> int:
        return sum(worker["counters"].get("captured", 0) for worker in self.workers)

    @property
    def dropped(self) -> int:
        in_workers = (
            number
            for worker in self.workers
            for name, number in worker["counters"].items()
            if name.startswith("dropped.")
        )
        return sum(in_workers) + sum(self.shipper["counters"]["dropped"].values())

    @property
    def faults(self) -> list[str]:
        """Why the run is not good; empty if it is."""
        events = self.collector["events"]
        checks = {
            f"{len(self.load.failures)} requests were not answered": not self.load.failures,
            f"captured {self.captured} of {self.load.answered}": self.captured == self.load.answered,
            f"delivered {events['distinct']} of {self.captured}": events["distinct"] == self.captured,
            f"{events['invalid']} events break the collector's schema": not events["invalid"],
            f"{self.dropped} events were dropped": not self.dropped,
            f"{self.shippers_seen} shippers served {WORKERS} workers": self.shippers_seen == 1,
        }
        return [fault for fault, holds in checks.items() if not holds]


def main() -> None:
    began = time.monotonic()
    faults = []
    for server in SERVERS:
        run = _run(server)
        _show(run)
        faults += [f"{server}: {fault}" for fault in run.faults]
    for fault in faults:
        click.secho(f"NOT AS IT SHOULD BE  {fault}", fg="red")
    if not faults:
        click.secho("captured = delivered on every server, nothing lost, nothing twice", fg="green")
    click.echo(f"took {time.monotonic() - began:.0f} s")
    sys.exit(1 if faults else 0)


def _run(name: ServerName) -> Run:
    with _inspector() as url, tempfile.TemporaryDirectory(prefix="moesif-demo-") as directory:
        settings = {
            "MOESIF_APPLICATION_ID": APPLICATION_ID,
            "MOESIF_BASE_URI": url,
            "MOESIF_SPOOL_DIR": directory,
            "MOESIF_SHIPPER_SOCKET": f"{directory}/no-standalone-shipper.sock",
        }
        with running(server=name, workers=WORKERS, cwd=EXAMPLE, env=settings) as server:
            return _observe(server, name, url, Path(directory))


def _observe(server: Server, name: str, url: str, directory: Path) -> Run:
    load = _load(server, name)
    socket = directory / SOCKET_NAME

    def reported() -> bool:
        """Whether the workers have told the shipper of all they captured; they do so every second."""
        workers = ask_status(socket)["workers"]
        return sum(worker["counters"].get("captured", 0) for worker in workers) >= load.answered

    eventually(reported, 10.0, "the workers report what they captured")
    shippers_seen = len(shippers_of(directory))
    status = ask_status(socket)
    ended = server.terminate()
    collector = _get(f"{url}/inspector/summary")
    newest = _get(f"{url}/inspector/events?limit=100")
    eventually(lambda: not shippers_of(directory), SHIPPER_LEAVES_S, "the shipper leaves by itself")
    return Run(
        server=name,
        load=load,
        workers=status["workers"],
        shipper=status,
        collector=collector,
        shippers_seen=shippers_seen,
        exit_seconds=ended.seconds,
        event=next(each["item"] for each in newest if "user_id" in each["item"]),
    )


def _load(server: Server, name: str) -> LoadResult:
    with click.progressbar(length=REQUESTS, label=f"{name:>8}, {WORKERS} workers") as bar:
        return send_mix(server.url, REQUESTS, CONNECTIONS, lambda done: bar.update(done - bar.pos))


@contextmanager
def _inspector() -> Iterator[str]:
    """The local collector as its users run it; yields its address."""
    command = [sys.executable, "-m", "moesifasgi.shipper", "inspect", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield line.rpartition("set BASE_URI to ")[2].rstrip(")\n")
        finally:
            process.terminate()


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _show(run: Run) -> None:
    events = run.collector["events"]
    click.echo()
    click.secho(f"{run.server}: {WORKERS} workers, one shipper (pid {run.shipper['pid']})", bold=True)
    _table(
        ("requests", "answered", "captured", "delivered", "dropped", "duplicates", "invalid"),
        [
            (
                REQUESTS,
                run.load.answered,
                run.captured,
                events["distinct"],
                run.dropped,
                events["duplicates"],
                events["invalid"],
            )
        ],
    )
    _table(
        ("worker", "captured", "acknowledged", "in its ring"),
        [
            (
                worker["pid"],
                worker["counters"]["captured"],
                worker["counters"]["acked"],
                worker["ring_events"],
            )
            for worker in run.workers
        ],
    )
    delivered = Counter({int(status): number for status, number in run.collector["by_status"].items()})
    _table(
        ("status", "answered", "delivered"),
        [(status, run.load.statuses[status], delivered[status]) for status in sorted(run.load.statuses)],
    )
    click.echo(f"server ended {run.exit_seconds:.2f} s after SIGTERM; uploads {run.collector['requests']}\n")
    click.echo("the newest event of a signed-in user:")
    click.echo(json.dumps(run.event, indent=2))
    click.echo()


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    widths = [max(len(str(cell)) for cell in column) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        click.echo("  " + "  ".join(str(cell).rjust(width) for cell, width in zip(row, widths, strict=True)))
    click.echo()


if __name__ == "__main__":
    main()

"""TRANSPORT ``queue`` on the servers that can have it, in the ways that docs/transports.md shows."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from campaigns.scene import HERE as CAMPAIGNS
from campaigns.steady import SteadyLoad
from lab.processes import eventually, has_ended, kill_all, shippers_of
from lab.servers import HOST, running

from moesifasgi.inspector import Collector
from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.tool import ask_status

WORKERS = 4
PER_SECOND = 400.0
ENOUGH = 300
"""Answers before the server is stopped, in the middle of its load."""
STOPS_IN_S = 15.0
HOOKS = ("-c", "python:moesifasgi.gunicorn")
TEXT = (Path(__file__).parents[2] / "docs" / "transports.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


class Served(NamedTuple):
    url: str
    master: psutil.Process


Way = Callable[[dict[str, str], Path], AbstractContextManager[Served]]


def on_gunicorn(*options: str) -> Way:
    @contextmanager
    def way(environment: dict[str, str], _directory: Path) -> Iterator[Served]:
        app = "application:app"
        with running("gunicorn", app, WORKERS, cwd=CAMPAIGNS, env=environment, extra=options) as server:
            yield Served(server.url, psutil.Process(server.pid))

    return way


@contextmanager
def on_a_launcher(environment: dict[str, str], directory: Path) -> Iterator[Served]:
    """The one of the documentation, as it stands there."""
    (launcher,) = (block for block in BLOCKS if "def main" in block)
    (directory / "serve.py").write_text(launcher)
    (directory / "app.py").write_text((CAMPAIGNS / "application.py").read_text())
    with closing(socket.socket()) as held:
        # Bound but not listening: the launcher may bind the port as well, nobody else is given it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        port = str(held.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "serve.py"], cwd=directory, env={**os.environ, **environment, "PORT": port}
        ) as popen:
            master = psutil.Process(popen.pid)
            try:
                eventually(lambda: len(master.children()) >= WORKERS, 20.0, "the workers have started")
                yield Served(f"http://{HOST}:{port}", master)
            finally:
                kill_all([master, *master.children()] if not has_ended(master) else [])


WAYS: dict[str, Way] = {
    "gunicorn": on_gunicorn(*HOOKS),
    "gunicorn --preload": on_gunicorn("--preload", *HOOKS, "--max-requests", "80"),
    "launcher": on_a_launcher,
}
"""Rows of the queue in a table of servers and transports. The second one's workers are replaced all along."""


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_a_server_that_is_stopped_under_load_loses_nothing_and_its_shipper_leaves(
    way: Way, short_dir: Path, collector: Collector, tmp_path: Path
):
    environment = {
        "MOESIF_APPLICATION_ID": "application-of-the-queue",
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_SPOOL_DIR": str(short_dir),
        "MOESIF_TRANSPORT": "queue",
    }
    with way(environment, tmp_path) as (url, master):
        load = SteadyLoad(url, PER_SECOND)
        load.start()
        try:
            eventually(lambda: len(load.answered) >= ENOUGH, 20.0, "the load is on")
            # The master forks: a thread in it would be a fault.
            assert master.num_threads() == 1
            (shipper,) = shippers_of(short_dir)
            status = ask_status(short_dir / SOCKET_NAME)
            assert status["queues"]["attached"] == 1
            # None came another way; the last few are taken and not stored yet.
            assert status["queues"]["events"] >= status["counters"]["received"] > 0
            # As systemd does it: to all of the service at once.
            shipper.terminate()
            master.terminate()
            eventually(lambda: has_ended(master), STOPS_IN_S, "the server has stopped")
        finally:
            load.stop()
        eventually(lambda: load.answered <= collector.store.transaction_ids(), 10.0, "all are delivered")
        assert collector.store.counts().duplicates == 0
        eventually(lambda: has_ended(shipper), 10.0, "the shipper has left")
    assert b"Traceback" not in (short_dir / "shipper.log").read_bytes()


def test_a_master_whose_workers_run_as_somebody_else_is_told_so(short_dir: Path):
    """Its workers would not be let into the shipper's directory."""
    if os.geteuid():
        pytest.skip("needs root, who may become somebody else")
    command = [sys.executable, "-m", "gunicorn", "application:app", *HOOKS, "--user", "nobody"]
    environment = {**os.environ, "MOESIF_APPLICATION_ID": "a", "MOESIF_SPOOL_DIR": str(short_dir)}
    done = subprocess.run(
        [*command, "--bind", f"{HOST}:0", "--no-control-socket"],
        cwd=CAMPAIGNS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "expected a master that runs as its workers' user" in done.stderr
    assert shippers_of(short_dir) == []


def test_the_hooks_of_the_documentation_are_there():
    (hooks,) = (block for block in BLOCKS if "moesifasgi.gunicorn" in block)
    # In a process of its own: the module makes this one a master that is to have a shipper.
    code = f"{hooks}\nprint(on_starting.__name__, pre_fork.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.split() == ["on_starting", "pre_fork"]

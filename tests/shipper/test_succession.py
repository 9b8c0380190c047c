"""A shipper is asked to leave for another only where that one could go on: else workers would have none."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from lab import nobody
from lab.processes import eventually
from lab.requirement import require
from lab.service_manager import ServiceManager
from lab.shipper_process import ShipperProcess, standalone
from lab.status import status_at

from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper import succession
from moesifasgi.shipper.monitor_address import MonitorAddress
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.serving import owned_spool
from moesifasgi.shipper.spool import schema
from moesifasgi.shipper.spool.database import FILE_NAME

OWN_MONITOR = "m.sock"


def successor(directory: Path, *, name: str = SOCKET_NAME, metrics: MonitorAddress | None = None) -> Options:
    return Options(directory, directory / name, embedded=False, metrics=metrics)


def refusal(options: Options) -> str:
    """What who takes over says, and does not."""
    with pytest.raises(click.ClickException, match="cannot take over: ") as refused:
        owned_spool(options, take_over=True)
    return refused.value.message.removeprefix("cannot take over: ")


@pytest.fixture
def shipper(short_dir: Path) -> Iterator[ShipperProcess]:
    with standalone(short_dir, f"--metrics=unix:{short_dir / OWN_MONITOR}") as started:
        yield started
        assert started.status()["pid"] == started.popen.pid


def test_where_a_successor_could_not_start_the_shipper_stays(short_dir: Path, shipper: ShipperProcess):
    succession.refuse_succession(successor(short_dir, metrics=MonitorAddress(path=short_dir / OWN_MONITOR)))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = MonitorAddress("127.0.0.1", taken.getsockname()[1])
        said = refusal(successor(short_dir, metrics=address))
    assert said == f"cannot listen for metrics on {address}: Address already in use"
    (short_dir / "link").symlink_to(shipper.socket)
    assert refusal(successor(short_dir, name="link")) == f"{short_dir / 'link'} exists and is not a socket"
    with closing(sqlite3.connect(short_dir / FILE_NAME)) as newer:
        (mark,) = newer.execute("PRAGMA application_id").fetchone()
        newer.execute(f"PRAGMA application_id = {mark + 1}")
        newer.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    assert "made by a newer moesifasgi" in refusal(successor(short_dir))


def test_another_way_to_the_same_socket_is_no_other_socket(short_dir: Path, shipper: ShipperProcess):
    (short_dir / "way").symlink_to(short_dir)
    succession.refuse_succession(successor(short_dir, name=f"way/{SOCKET_NAME}"))


def test_what_systemd_holds_is_not_taken_over(short_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(succession, "SERVICE_MANAGER", os.getpid())
    with ServiceManager(short_dir) as manager:
        manager.listen()
        with manager.service() as started:
            eventually(lambda: status_at(manager.path), 10.0, "it serves")
            assert "for a service: systemctl restart it" in refusal(successor(short_dir))
            assert status_at(manager.path)["pid"] == started.pid


@pytest.mark.parametrize(("group", "code"), [(nobody.UID, 0), (0, 1)])
def test_a_group_that_the_socket_cannot_be_given_to_is_told_before(group: int, code: int):
    require(nobody.missing_right())
    script = f"from moesifasgi.unix_socket import refuse_group; refuse_group({group})"
    command = [*nobody.PREFIX, sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/")
    assert done.returncode == code
    assert ("group 0: Operation not permitted" in done.stderr) is bool(code)

"""An upgrade: a new shipper takes over socket and spool from one that runs, under load. Nothing is lost."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import click
import pytest
from lab.counts import count_of
from lab.far_end import FarEnd
from lab.monitor_client import ask
from lab.processes import eventually
from lab.shipper_process import ShipperProcess, channel_to, embedded, standalone
from lab.tenants import tenants
from lab.trickle import trickling

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper import serving
from moesifasgi.shipper.daemon import HAND_OVER_S
from moesifasgi.shipper.metrics import Metrics
from moesifasgi.shipper.monitor import Monitor
from moesifasgi.shipper.monitor_address import MonitorAddress
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.receiver.admission import Admission
from moesifasgi.shipper.spool import SpoolInUse
from moesifasgi.shipper.spool.owner import OwnerLock
from moesifasgi.shipper.tool import NoShipper, ask_to_leave
from moesifasgi.unix_socket import listening

ARRIVES_IN_S = 20.0


@pytest.mark.timeout(600)
def test_nothing_is_lost_when_a_new_shipper_takes_over_again_and_again(short_dir: Path):
    with tenants(["one"]) as by_name, ExitStack() as stack:
        tenant = by_name["one"]
        shipper = stack.enter_context(standalone(short_dir))
        channels = [stack.enter_context(channel_to(shipper, tenant.application)) for _ in range(2)]
        loads = [stack.enter_context(trickling(channel)) for channel in channels]
        for _ in range(count_of(2)):
            eventually(
                lambda s=shipper: len(s.status().get("workers", ())) == 2, ARRIVES_IN_S, "both are back"
            )
            successor = stack.enter_context(standalone(short_dir, successor=True))
            assert shipper.popen.wait(15.0) == 0, shipper.log()
            shipper = successor
        for load in loads:
            load.stop()
        offered = set().union(*(load.offered for load in loads))
        eventually(lambda: offered <= tenant.collector.store.transaction_ids(), ARRIVES_IN_S, "all arrives")
        eventually(lambda: not shipper.spooled(), ARRIVES_IN_S, "all is settled")
        counters = shipper.counters()
        assert (counters["delivered"], counters["difference"]) == (len(offered), 0)
        assert (counters["dropped"], counters["dead_lettered"]) == ({}, 0)
        assert sum(load.refused for load in loads) == 0


def test_who_takes_over_does_not_wait_until_a_backlog_is_delivered(short_dir: Path):
    """The one before leaves it to the next: workers are without a shipper for a moment only."""
    with tenants(["slow"]) as by_name, standalone(short_dir) as shipper:
        tenant = by_name["slow"]
        tenant.misbehave(Behaviour(hang=True))
        with channel_to(shipper, tenant.application) as channel:
            tenant.feed(channel, 500)
            eventually(lambda: shipper.spooled() == 500, 10.0, "all is spooled")
            tenant.collector.behave(None)  # Uploads that are under way hang on.
            with standalone(short_dir, successor=True) as successor:
                assert shipper.popen.wait(5.0) == 0
                assert successor.spooled() + successor.counters()["delivered"] == 500
                eventually(lambda: not tenant.missing(), ARRIVES_IN_S, "all arrives")


def test_who_hands_over_waits_for_uploads_under_way_only(short_dir: Path):
    with tenants(["slow"]) as by_name, standalone(short_dir) as shipper:
        tenant = by_name["slow"]
        tenant.misbehave(Behaviour(delay_s=0.5))
        with channel_to(shipper, tenant.application) as channel:
            tenant.feed(channel, 5_000)
            eventually(lambda: shipper.counters()["delivered"], 10.0, "uploads are under way")
            asked_at = time.monotonic()
            ask_to_leave(shipper.socket)
            assert shipper.popen.wait(10.0) == 0
            assert time.monotonic() - asked_at < HAND_OVER_S
            tenant.collector.behave(None)
            with standalone(short_dir) as successor:
                eventually(lambda: not tenant.missing(), ARRIVES_IN_S, "all arrives")
                eventually(lambda: not successor.spooled(), 5.0, "all is settled")
                assert successor.counters()["difference"] == 0


def owned_at_once(directory: Path) -> OwnerLock:
    """The spool's lock, at the moment when it is free: no successor can be quicker."""
    deadline = time.monotonic() + 15.0
    while True:
        try:
            return OwnerLock(directory)
        except SpoolInUse:
            assert time.monotonic() < deadline, "the one before does not let go"


def monitors_port(path: Path) -> MonitorAddress:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return MonitorAddress("127.0.0.1", free.getsockname()[1])


def monitors_socket(path: Path) -> MonitorAddress:
    return MonitorAddress(path=path)


@pytest.mark.parametrize("place", [monitors_port, monitors_socket])
def test_who_owns_the_spool_next_can_listen_for_monitors_at_once(
    place: Callable[[Path], MonitorAddress], short_dir: Path
):
    """Also where a monitor has just asked: the kernel remembers its connection for a minute."""
    address = place(short_dir / "m")
    with standalone(short_dir, f"--metrics={address}") as shipper:
        assert ask(address.path or (address.host, address.port), "/healthz").status == 200
        ask_to_leave(shipper.socket)
        lock = owned_at_once(short_dir)
        try:
            Monitor(address, Metrics()).close()
        finally:
            lock.release()
        assert shipper.popen.wait(10.0) == 0


def test_without_being_told_to_a_second_shipper_refuses_and_says_how(short_dir: Path):
    with standalone(short_dir) as shipper:
        said = run(f"--spool-dir={short_dir}", f"--socket={short_dir / 'other.sock'}")
        assert said == (
            f"Error: the spool in {short_dir} is in use by process {shipper.popen.pid};"
            " --take-over has it leave for this one\n"
        )
        assert shipper.status()


def test_a_socket_that_another_shipper_listens_on_is_not_taken_away(short_dir: Path, tmp_path: Path):
    with standalone(short_dir) as shipper:
        said = run(f"--spool-dir={tmp_path / 'spool'}", f"--socket={shipper.socket}")
        assert said == f"Error: another shipper, with a spool of its own, listens on {shipper.socket}\n"
        assert shipper.status()["pid"] == shipper.popen.pid


def test_a_shipper_that_is_elsewhere_cannot_be_taken_over_and_goes_on(short_dir: Path):
    """As where ``socket`` was changed in the file: it is told at once."""
    with standalone(short_dir, f"--metrics=unix:{short_dir / 'm'}") as shipper:
        elsewhere = Options(short_dir, short_dir / "elsewhere.sock", embedded=False)
        began = time.monotonic()
        told = f"serves {shipper.socket} and not {elsewhere.socket}"
        with pytest.raises(
            click.ClickException, match=f"^cannot take over: shipper {shipper.popen.pid}.*{told}"
        ):
            serving.owned_spool(elsewhere, take_over=True)
        assert time.monotonic() - began < serving.OWNER_WAIT_S
        assert shipper.status()


def test_who_takes_over_waits_for_one_that_is_leaving_already(short_dir: Path):
    """It listens for monitors to the last, and for nobody else."""
    options = Options(short_dir, short_dir / "s.sock", embedded=False)
    lock = OwnerLock(short_dir)
    with closing(listening(short_dir / "m", 0o600)):
        threading.Timer(0.8, lock.release).start()
        serving.owned_spool(options, take_over=True).close()


def test_nobody_but_root_and_its_own_user_may_have_it_leave(short_dir: Path):
    with FarEnd(short_dir / "s.sock") as far_end:
        far_end.receiver.reconsider(Admission(frozenset({os.geteuid() + 1}), uids=frozenset({os.geteuid()})))
        with pytest.raises(NoShipper, match="only root and the shipper's own user"):
            ask_to_leave(far_end.path)


def test_an_embedded_shipper_is_not_taken_over(short_dir: Path):
    with embedded(short_dir, spool_max_bytes=1 << 20) as shipper:
        with pytest.raises(NoShipper, match="leaves with its last worker"):
            ask_to_leave(shipper.socket)
        assert shipper.status()


def _workers(shipper: ShipperProcess) -> int:
    return len(shipper.status().get("workers", ()))


def run(*options: str) -> str:
    """What a shipper that cannot start says."""
    command = [sys.executable, "-m", "moesifasgi.shipper", "run", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/")
    assert done.returncode == 1, done
    return done.stderr

"""T17: a shipper whose delivery stands still says so and is started afresh; an outage restarts nothing.

The times are a few seconds here, and those of the product in ``make chaos``.
"""

import os
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
import pytest
import trustme
from lab import failing_disk
from lab.corpus import orders
from lab.counts import count_of
from lab.dead_names import dead_names
from lab.faulty_shipper import FAULTS, FLAG_NAME, VARIABLE
from lab.front import Front
from lab.load import TRANSACTION_HEADER
from lab.processes import eventually
from lab.requirement import require
from lab.servers import Server, running
from lab.service_manager import ServiceManager
from lab.shipper_process import RING_BYTES, RING_EVENTS, feed
from lab.tenants import tenants
from lab.tools import needed, needs_root

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.places import LOG_NAME, SOCKET_NAME
from moesifasgi.shipper.liveness import STANDSTILL_S
from moesifasgi.shipper.tool import NoShipper, ask_status
from moesifasgi.wire.application import Application

EVENTS = 100
SCRIPTS = str(Path(__file__).parents[2] / "scripts")


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds."""

    standstill_s: float
    watchdog_s: float
    outage_s: float
    within_s: float
    """From the fault until status says so, and until it is started afresh."""


FAST = Times(standstill_s=1.5, watchdog_s=1.0, outage_s=8.5, within_s=30.0)
REAL = Times(standstill_s=STANDSTILL_S, watchdog_s=20.0, outage_s=180.0, within_s=60.0)
TIMES = FAST if count_of(1) == 1 else REAL
TOLD_STANDSTILL_S = max(4.0, TIMES.standstill_s)
"""Who ends itself has to have time for a word before."""
OUTAGE_STANDSTILL_S = max(6.0, TIMES.standstill_s)
"""Resolving and connecting have 5 s: an attempt must be able to end before."""
pytestmark = pytest.mark.timeout(60 + 5 * TIMES.within_s + TIMES.outage_s)


def status(path: Path) -> dict:
    try:
        return ask_status(path)
    except NoShipper:
        return {}


def stands_still(path: Path) -> bool:
    found = status(path)
    return any("delivery stands still for" in reason for reason in found.get("reasons", ()))


def has_ended(pid: int) -> bool:
    """Also where a thread of it is held up, so that it cannot go."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def channel_to(path: Path, *applications: Application) -> Iterator[UnixChannel]:
    channel = UnixChannel(PathDialer(path), RING_EVENTS, RING_BYTES)
    for application in applications:
        channel.register(application)
    try:
        yield channel
    finally:
        channel.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_whose_loop_dies_or_hangs_starves_its_watchdog_and_loses_nothing(
    short_dir, collector, fault
):
    environ = {VARIABLE: fault, "PYTHONPATH": SCRIPTS}
    option = f"--standstill-timeout={TIMES.standstill_s}"
    application = Application("application-of-the-standstill", base_uri=collector.url, batch_timeout_s=0.1)
    with ExitStack() as stack:
        manager = stack.enter_context(ServiceManager(short_dir, watchdog_s=TIMES.watchdog_s))
        channel = stack.enter_context(channel_to(manager.path, application))
        with manager.service(option, environ=environ, module="lab.faulty_shipper") as shipper:
            manager.await_ready()
            offered = feed(channel, orders(EVENTS))
            eventually(lambda: not offered - collector.store.transaction_ids(), 20.0, "they arrive")
            (short_dir / FLAG_NAME).touch()
            offered |= feed(channel, orders(EVENTS, seed=2))
            eventually(lambda: not (short_dir / FLAG_NAME).exists(), 10.0, "the fault happened")
            began = time.monotonic()
            eventually(lambda: stands_still(manager.path), TIMES.within_s, "status says so")
            assert not ask_status(manager.path)["healthy"]
            eventually(manager.starved, TIMES.within_s, "the watchdog starves")
            assert time.monotonic() - began < TIMES.within_s
            assert shipper.poll() is None
            manager.end_starved(shipper)
        assert "Fatal Python error: Aborted" in manager.log()
        if shipper.returncode == -signal.SIGABRT:
            assert ("in hangs" in manager.log()) == (fault == "hangs")
        with manager.service(option):
            eventually(lambda: not offered - collector.store.transaction_ids(), 30.0, "all arrive")
            assert status(manager.path)["counters"]["difference"] == 0
    assert collector.store.counts("events").distinct == len(offered)


@contextmanager
def tls_before(collector: Collector) -> Iterator[tuple[str, bytes]]:
    """The URL of a front that ends TLS, and the certificate of its authority."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    with Front(collector, tls=tls) as front:
        yield front.url, authority.cert_pem.bytes()


@contextmanager
def worker(directory: Path, url: str, ca_file: Path) -> Iterator[Server]:
    """A server whose worker has a shipper of its own there."""
    settings = {
        "MOESIF_APPLICATION_ID": "application-of-the-pipe",
        "MOESIF_BASE_URI": url,
        "MOESIF_CA_BUNDLE": str(ca_file),
        "MOESIF_EVENT_BATCH_TIMEOUT": "0.1",
        "MOESIF_SPOOL_DIR": str(directory),
        "MOESIF_SHIPPER_SOCKET": f"{directory}/none",
        "MOESIF_SHIPPER_STANDSTILL_TIMEOUT": str(TOLD_STANDSTILL_S),
    }
    with running(app="application:app", workers=1, cwd=Path(SCRIPTS, "campaigns"), env=settings) as server:
        yield server


def test_an_embedded_shipper_whose_uploads_hang_ends_itself_and_its_worker_starts_another(
    short_dir, collector
):
    """The file of authorities is on a disk that answers no more; a pipe in its place makes nobody wait."""
    require(failing_disk.missing_right())
    ca_file, path = short_dir / "authorities", short_dir / SOCKET_NAME
    os.mkfifo(ca_file)
    with tls_before(collector) as (url, authority), worker(short_dir, url, ca_file) as server:
        with httpx.Client(base_url=server.url) as client:
            ids = {client.post("/", json=number).headers[TRANSACTION_HEADER] for number in range(EVENTS)}
        first = eventually(lambda: status(path), 20.0, "a shipper serves")["pid"]
        eventually(lambda: "found a pipe" in "".join(status(path)["reasons"]), 20.0, "the pipe is told")
        mended = ca_file.with_suffix(".new")
        mended.write_bytes(authority)
        with failing_disk.slow(first, "openat", path=ca_file, delay_s=10 * TIMES.within_s):
            mended.replace(ca_file)
            began = time.monotonic()
            eventually(lambda: stands_still(path), TIMES.within_s, "status says so")
            eventually(lambda: has_ended(first), TIMES.within_s, "it ends itself")
        eventually(lambda: status(path).get("pid", first) != first, TIMES.within_s, "another one serves")
        assert time.monotonic() - began < TIMES.within_s
        log = (short_dir / LOG_NAME).read_text("utf-8")
        assert "CRITICAL moesifasgi.shipper: delivery stands still" in log
        assert "most recent call first" in log
        eventually(lambda: not ids - collector.store.transaction_ids(), TIMES.within_s, "all arrive")
        assert status(path)["counters"]["difference"] == 0
    assert collector.store.counts("events").distinct == len(ids) == EVENTS


def test_no_outage_restarts_a_shipper(short_dir):
    """Nobody listens, no name is resolved, all is refused or asks for patience, and the collector hangs."""
    needed("unshare")
    needs_root("only root can give a process its own name server")
    names = ["refused", "unresolved", "unauthorised", "overloaded"]
    with ExitStack() as stack:
        found = stack.enter_context(tenants([*names, "hanging"]))
        found["refused"].collector.close()
        found["unauthorised"].misbehave(Behaviour(status=401))
        found["overloaded"].misbehave(Behaviour(status=503))
        found["hanging"].misbehave(Behaviour(hang=True))
        unresolved = found["unresolved"]
        unresolved.application = replace(unresolved.application, base_uri="http://collector.example:9")
        command = stack.enter_context(dead_names(short_dir))
        # An upload to a collector that hangs takes 30 s, which is more than the short times allow.
        wanted = [found[name] for name in (names if TIMES is FAST else found)]
        manager = stack.enter_context(ServiceManager(short_dir, watchdog_s=TIMES.watchdog_s))
        option = f"--standstill-timeout={OUTAGE_STANDSTILL_S}"
        shipper = stack.enter_context(manager.service(option, command=command))
        manager.await_ready()
        channel = stack.enter_context(channel_to(manager.path, *(each.application for each in wanted)))
        for key, tenant in enumerate(wanted):
            tenant.offered |= feed(channel, orders(EVENTS, seed=key), key)
        began = time.monotonic()

        def over() -> bool:
            assert shipper.poll() is None, manager.log()
            assert not manager.starved() or manager.fed_at() == 0.0
            return time.monotonic() - began > TIMES.outage_s

        eventually(over, TIMES.outage_s + 30, "it lived through the outage")
        told = status(manager.path)
        assert len(told["reasons"]) >= len(wanted)
        assert not stands_still(manager.path)
        assert told["spool"]["events"] == EVENTS * len(wanted)
        dead = told["applications"][unresolved.application.label]
        assert (dead["reason"], dead["requests"].get("none", 0) > 0) == ("connecting timed out", True)

"""The whole job under the unit's restrictions: take, keep and upload events, answer monitors, leave."""

import os
from pathlib import Path

import pytest
from lab.confined import APPLIED, allowed_calls, enclosed, missing, settings_of
from lab.corpus import orders
from lab.monitor_client import ask
from lab.processes import eventually
from lab.requirement import require
from lab.service_manager import ServiceManager
from lab.shipper_process import feed
from lab.tools import needed

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.tool import ask_status
from moesifasgi.wire.application import Application

UNIT = Path(__file__).parents[2] / "scripts/systemd/moesif-shipper.service"
USER_ID = 54_321
EVENTS = 300


@pytest.fixture
def confined(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The command before the shipper's."""
    needed("unshare", "setpriv", "systemd-analyze")
    require(missing())
    os.chown(short_dir, USER_ID, USER_ID)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "scripts"))
    return tuple(enclosed(UNIT, short_dir, USER_ID, []))


def test_what_is_applied_here_is_in_the_unit():
    assert set(settings_of(UNIT)) >= APPLIED


def test_the_filter_leaves_no_privileged_call():
    needed("systemd-analyze")
    calls = allowed_calls(settings_of(UNIT)["SystemCallFilter"])
    assert {"read", "socket", "execve", "fsync"} <= calls
    assert not calls & {"mount", "chown", "setuid", "ptrace", "bpf", "setpriority", "init_module"}


def test_the_shipper_does_its_whole_job_under_the_units_restrictions(short_dir, collector, confined):
    with ServiceManager(short_dir, watchdog_s=20.0) as manager:
        (short_dir / "notify").chmod(0o666)
        options = (f"--metrics=unix:{short_dir}/m", "--drain-timeout=5")
        with manager.service(*options, command=confined) as shipper:
            manager.await_ready()
            status = Path(f"/proc/{shipper.pid}/status").read_text("ascii")
            for line in ("Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", f"Uid:\t{USER_ID}\t"):
                assert line in status
            channel = UnixChannel(PathDialer(manager.path), 100_000, 1 << 25)
            channel.register(Application("application-of-these-tests", base_uri=collector.url))
            offered = feed(channel, orders(EVENTS))
            assert channel.drain(20.0, give_up=False).delivered
            channel.close()
            assert not offered - collector.store.transaction_ids()
            assert ask_status(manager.path)["counters"]["delivered"] == EVENTS
            page = ask(short_dir / "m", "/metrics")
            assert f"moesif_shipper_events_delivered_total {EVENTS:.1f}" in page.text
            assert "process_resident_memory_bytes" in page.text
            eventually(lambda: manager.count("WATCHDOG=1"), 10.0, "it feeds its watchdog")
            shipper.terminate()
            assert shipper.wait(15.0) == 0
        assert "Traceback" not in manager.log()
        assert (short_dir / FILE_NAME).stat().st_uid == USER_ID

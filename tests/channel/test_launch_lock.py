"""A launch lock that another worker holds for longer than a start may take: as one does that was stopped.

The times are shorter here, and those of the product with MOESIF_LAB_COUNT.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.corpus import orders
from lab.counts import count_of
from lab.processes import eventually

from moesifasgi.channel import drains, launcher
from moesifasgi.channel.dial import EmbeddedDialer, StateDirectory
from moesifasgi.channel.launcher import Launcher, ShipperOptions
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Collector
from moesifasgi.places import LAUNCH_LOCK_NAME, SOCKET_NAME
from moesifasgi.shipper.tool import NoShipper, ask_status
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer

EVENTS = 50
SHORT = count_of(1) == 1
LATE_S = 5.0
"""What a wait may take more on a busy machine."""


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    if SHORT:
        monkeypatch.setattr(launcher, "START_TIMEOUT_S", 0.9)
        monkeypatch.setattr(drains, "STARTING_PATIENCE_S", 0.5)
        monkeypatch.setattr(drains, "PATIENCE_S", 0.1)


@contextmanager
def held(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def waited_s(channel: UnixChannel) -> float:
    """How long a worker that wants to leave waits for a shipper."""
    began = time.monotonic()
    assert not channel.drain(60.0, give_up=True).delivered
    return time.monotonic() - began


@pytest.mark.timeout(120)
def test_a_worker_keeps_its_events_waits_no_longer_than_a_start_takes_and_starts_one_when_it_can(
    short_dir: Path, collector: Collector
) -> None:
    options = ShipperOptions(spool_min_free_bytes=0)
    channel = UnixChannel(EmbeddedDialer(StateDirectory(str(short_dir)), options), 1_000, 1 << 20)
    channel.register(Application("application-of-the-lock", collector.url, batch_timeout_s=0.1))
    with held(short_dir / LAUNCH_LOCK_NAME):
        began = time.monotonic()
        calls = dict(orders(EVENTS))
        assert {channel.offer(Kind.RECORD, 0, payload) for payload in calls.values()} == {Offer.ACCEPTED}
        assert time.monotonic() - began < LATE_S
        # Somebody is at it: that is worth a little patience.
        patient_s = waited_s(channel)
        assert drains.STARTING_PATIENCE_S <= patient_s < drains.STARTING_PATIENCE_S + LATE_S
        eventually(
            lambda: waited_s(channel) < drains.STARTING_PATIENCE_S / 2,
            launcher.START_TIMEOUT_S + 2 * LATE_S,
            "nobody is believed to be at it any more",
        )
        assert channel.stats()["ring_events"] == EVENTS
        assert not (short_dir / SOCKET_NAME).exists()
    eventually(lambda: not calls.keys() - collector.store.transaction_ids(), 30.0, "all arrive")
    eventually(lambda: not channel.stats()["ring_events"], 10.0, "all is acknowledged")
    found = ask_status(short_dir / SOCKET_NAME)
    assert (found["counters"]["received"], found["counters"]["difference"]) == (EVENTS, 0)
    channel.close()
    os.kill(found["pid"], signal.SIGTERM)
    eventually(lambda: not answers(short_dir / SOCKET_NAME), 20.0, "the shipper has left")


def test_who_was_waited_for_in_vain_once_is_waited_for_again_after_a_shipper_had_come(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "START_TIMEOUT_S", 0.05)
    starting = Launcher(short_dir, ShipperOptions())
    with held(short_dir / LAUNCH_LOCK_NAME):
        assert starting.step()
        eventually(lambda: not starting.step(), 10.0, "it gives up hope")
        starting.arrived()
        assert starting.step()


def answers(path: Path) -> bool:
    try:
        return bool(ask_status(path))
    except NoShipper:
        return False

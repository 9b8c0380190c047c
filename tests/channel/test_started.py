"""A shipper that a master started: how long it lives, whom its queue serves, and what it is to be told."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from lab.processes import eventually, has_ended, shippers_of
from lab.status import status_in

from moesifasgi import MoesifMiddleware, SettingsError, ShipperHandle, start_shipper
from moesifasgi.channel import started
from moesifasgi.channel.registry import channel_for
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Collector
from moesifasgi.settings import Settings
from moesifasgi.shipper.presence import GRACE_S
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer

NOTICED_S = 5.0
"""Two seconds, and what a busy machine may add."""
LONGEST_OFFER_S = 0.25
"""Far below anything that waits, and above what a busy machine may take a thread's turn away for."""
NOWHERE = "http://127.0.0.1:9"
"""Nobody listens at this port: what is taken stays in the spool."""


@pytest.fixture
def begin(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ShipperHandle]]:
    """``start_shipper`` for the test's directory; what it started is ended after the test."""
    monkeypatch.setattr(started, "_handles", [])
    yield lambda: start_shipper({"SPOOL_DIR": str(short_dir)})
    for handle in started._handles:
        handle.close()
    for process in shippers_of(short_dir):
        process.kill()
        eventually(lambda process=process: has_ended(process), 5.0, "it has ended")


@contextmanager
def worker_of(handle: ShipperHandle, base_uri: str = NOWHERE) -> Iterator[UnixChannel]:
    dialer = handle.dialer()
    channel = UnixChannel(dialer, 10_000, 1 << 24, handle)
    channel.register(Application("app-of-the-tests", base_uri=base_uri))
    yield channel
    channel.close()
    dialer.abandon()  # The shipper that it may have started is this test's to end.


def offer(channel: UnixChannel, count: int, size: int = 0) -> None:
    payload = b"\xc5" + size.to_bytes(2, "big") + bytes(size)
    for _ in range(count):
        channel.counters.add("captured")
        begun = time.monotonic()
        assert channel.offer(Kind.EVENT, 0, payload) is Offer.ACCEPTED
        assert time.monotonic() - begun < LONGEST_OFFER_S


def all_acknowledged(channel: UnixChannel) -> bool:
    return channel.stats()["acked"] == channel.stats()["captured"]


def test_a_second_start_finds_the_running_shipper_and_gives_it_another_queue(
    begin: Callable[[], ShipperHandle], short_dir: Path
):
    first, second = begin(), begin()
    (process,) = shippers_of(short_dir)
    assert status_in(short_dir)["queues"]["attached"] == 2
    for handle in (first, second):
        with worker_of(handle) as channel:
            offer(channel, 10)
            eventually(lambda channel=channel: all_acknowledged(channel), 5.0, "all are acknowledged")
            assert channel.stats()["on_queue"] == 1
    status = status_in(short_dir)
    assert status["pid"] == process.pid
    assert status["queues"]["events"] == status["counters"]["received"] == 20


def test_a_group_wide_signal_ends_the_shipper_only_after_master_and_workers(
    begin: Callable[[], ShipperHandle], short_dir: Path, collector: Collector
):
    handle = begin()
    (process,) = shippers_of(short_dir)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    with worker_of(handle, collector.url) as channel:
        offer(channel, 100)
        assert channel.drain(10.0, give_up=False).delivered
    eventually(lambda: not status_in(short_dir)["workers"], 5.0, "the worker is gone")
    assert status_in(short_dir)["queues"]["attached"] == 1  # But the master is there.
    assert not has_ended(process)
    handle.close()
    eventually(lambda: has_ended(process), GRACE_S - 0.5, "it has left, as it was asked to")


MASTER = """
    import os, sys, threading, time
    from moesifasgi import start_shipper, MoesifMiddleware

    handle = start_shipper({"SPOOL_DIR": sys.argv[1]})
    assert handle.writer is not None
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1, "a thread in the master"
    print("started", flush=True)
    for line in sys.stdin:
        if os.fork() == 0:
            from moesifasgi import stats, update_user
            # Neither settings nor handle: both are inherited, as with gunicorn's hooks.
            os.environ.update(MOESIF_APPLICATION_ID="a", MOESIF_TRANSPORT="queue")
            os.environ["MOESIF_BASE_URI"] = sys.argv[2]
            update_user({"user_id": line})
            while stats()["acked"] < 1:
                time.sleep(0.01)
            assert stats()["on_queue"] == 1
            os._exit(0)
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)
"""


def test_a_shipper_outlives_its_workers_and_not_its_master(short_dir: Path, collector: Collector):
    """Its master lives on without a worker for longer than a shipper of workers would wait for one."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(MASTER), str(short_dir), collector.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as master:
        assert master.stdin is not None
        assert master.stdout is not None
        try:
            assert master.stdout.readline() == "started\n"
            (shipper,) = shippers_of(short_dir)
            for user in ("ada", "bob", "eve"):
                print(user, file=master.stdin, flush=True)
                assert master.stdout.readline() == "0\n"
            eventually(lambda: not status_in(short_dir)["workers"], 2.0, "no worker is there")
            with pytest.raises(psutil.TimeoutExpired):
                shipper.wait(GRACE_S + 1.0)
            assert status_in(short_dir)["counters"]["delivered"] == 3
        finally:
            master.kill()
        eventually(lambda: has_ended(shipper), GRACE_S + 5.0, "it has left")


LAUNCHER = """
    import os, sys
    from moesifasgi import start_shipper, stats, update_user

    handle = start_shipper({"SPOOL_DIR": sys.argv[1]})
    assert handle.writer is not None
    for number in range(3):
        if os.fork() == 0:
            os.environ.update(MOESIF_APPLICATION_ID="a", MOESIF_TRANSPORT="queue")
            os.environ["MOESIF_BASE_URI"] = sys.argv[2]
            update_user({"user_id": str(number)})
            while not stats()["acked"]:
                pass
            os._exit(0)
    ended = 0
    while True:
        try:
            assert os.wait()[1] == 0
        except ChildProcessError:
            break
        ended += 1
    print(ended)
"""


def test_a_launcher_that_waits_for_all_of_its_children_comes_to_an_end(short_dir: Path, collector: Collector):
    """Its shipper is none of them: it stays for as long as the launcher does."""
    argv = [sys.executable, "-c", textwrap.dedent(LAUNCHER), str(short_dir), collector.url]
    done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout == b"3\n"
    eventually(lambda: len(collector.store.items("users")) == 3, 10.0, "all are delivered")
    (shipper,) = shippers_of(short_dir)
    shipper.kill()
    eventually(lambda: has_ended(shipper), 5.0, "it has ended")


def test_a_shipper_that_dies_is_no_dead_child_of_a_master_that_reaps_none(
    begin: Callable[[], ShipperHandle], short_dir: Path
):
    before = set(psutil.Process().children())
    handle = begin()
    (shipper,) = shippers_of(short_dir)
    shipper.kill()
    eventually(lambda: has_ended(shipper), 5.0, "it has ended")
    assert set(psutil.Process().children()) <= before
    with worker_of(handle) as channel:
        offer(channel, 1)
        eventually(lambda: all_acknowledged(channel), 10.0, "another shipper serves")
    # Later, or its worker would start one more.
    (successor,) = shippers_of(short_dir)
    successor.kill()
    eventually(lambda: has_ended(successor), 5.0, "it has ended")
    assert successor not in psutil.Process().children(), "nor is a worker's"


def test_events_go_to_another_shipper_where_theirs_is_killed_and_new_workers_have_a_queue_again(
    begin: Callable[[], ShipperHandle], short_dir: Path
):
    handle = begin()
    with worker_of(handle) as channel:
        offer(channel, 50)
        eventually(lambda: channel.stats()["on_queue"], 5.0, "the queue is in use")
        (shipper,) = shippers_of(short_dir)
        handle.mend()
        assert status_in(short_dir)["queues"]["attached"] == 1  # Nothing to mend.

        shipper.kill()
        eventually(lambda: not channel.stats()["on_queue"], NOTICED_S, "its death is noticed")
        offer(channel, 50)
        eventually(lambda: all_acknowledged(channel), 10.0, "another shipper has them all")
        assert status_in(short_dir)["counters"]["received"] == 100

    handle.mend()
    with worker_of(handle) as successor:
        offer(successor, 50)
        eventually(lambda: all_acknowledged(successor), 5.0, "all are acknowledged")
        assert successor.stats()["on_queue"] == 1
        assert status_in(short_dir)["queues"]["events"] == 50


def test_a_stopped_shipper_delays_no_offer_and_has_each_event_once_when_it_goes_on(
    begin: Callable[[], ShipperHandle], short_dir: Path
):
    handle = begin()
    (shipper,) = shippers_of(short_dir)
    with worker_of(handle) as channel:
        offer(channel, 100, size=1_000)
        eventually(lambda: all_acknowledged(channel), 5.0, "it serves")
        shipper.suspend()
        offer(channel, 3_000, size=1_000)  # More than the pipe holds.
        eventually(lambda: not channel.stats()["on_queue"], NOTICED_S, "it is noticed")
        offer(channel, 100, size=1_000)
        assert channel.stats()["ring_events"] == 3_100
        shipper.resume()
        eventually(lambda: all_acknowledged(channel), 10.0, "all are acknowledged")
        counters = status_in(short_dir)["counters"]
        assert (counters["received"], counters["difference"], counters["gaps"]) == (3_200, 0, 0)


def test_a_master_that_becomes_a_daemon_after_it_read_its_hooks_starts_the_shipper(short_dir: Path):
    """``gunicorn --daemon --preload``: another process than the one that read the configuration."""
    code = """
        import os
        from moesifasgi import MoesifMiddleware, stats, update_user, gunicorn

        if os.fork():
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        MoesifMiddleware(settings={"APPLICATION_ID": "a", "TRANSPORT": "queue"})
        gunicorn.pre_fork(None, None)  # Finds what the middleware started.
        update_user({"user_id": "ada"})
        while not stats()["acked"]:
            pass
        os._exit(stats()["on_queue"] - 1)
    """
    environment = {**os.environ, "MOESIF_SPOOL_DIR": str(short_dir), "MOESIF_BASE_URI": NOWHERE}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=True, timeout=30)
    (shipper,) = shippers_of(short_dir)
    assert status_in(short_dir)["queues"]["events"] == 1
    shipper.kill()
    eventually(lambda: has_ended(shipper), 5.0, "it has ended")


def test_a_master_without_a_directory_for_its_shipper_goes_on_without_one(tmp_path: Path, caplog):
    file = tmp_path / "file"
    file.touch()
    handle = start_shipper({"SPOOL_DIR": str(file / "below")})
    assert handle.writer is None
    assert "no queue to a shipper" in caplog.text
    handle.mend()
    handle.close()


def test_wrong_settings_of_a_shipper_are_refused_at_once():
    with pytest.raises(SettingsError, match="DURABILITY: expected 'normal' or 'full', got 'half'"):
        start_shipper({"DURABILITY": "half"})
    with pytest.raises(SettingsError, match="expected a dict, got list"):
        start_shipper([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"TRANSPORT": "queue"}, "nothing"),
        ({"TRANSPORT": "queue", "SHIPPER": "shop"}, "str"),
        ({"SHIPPER": 7}, "int"),
    ],
)
def test_a_worker_without_the_handle_is_told_what_is_missing(given: dict[str, Any], got: str, monkeypatch):
    monkeypatch.setattr(started, "_handles", [])
    with pytest.raises(SettingsError, match=rf"SHIPPER: .*start_shipper\(settings\).* got {got}; see docs"):
        MoesifMiddleware(settings={"APPLICATION_ID": "a", **given})


def test_a_handle_cannot_be_pickled_for_a_worker_that_is_spawned(begin: Callable[[], ShipperHandle]):
    with pytest.raises(TypeError, match="inherited by fork and cannot be pickled"):
        pickle.dumps(begin())


def test_middlewares_of_one_handle_share_a_channel(begin: Callable[[], ShipperHandle]):
    handle = begin()
    one, two = (
        channel_for(Settings.load({"APPLICATION_ID": each, "SHIPPER": handle}, {})) for each in ("a", "b")
    )
    assert one is two
    assert isinstance(one, UnixChannel)

"""A worker that leaves, or a process that goes on after it: nothing lost, nothing counted twice."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from lab.far_end import FarEnd
from lab.processes import eventually, shippers_of

from moesifasgi.channel import leftovers
from moesifasgi.channel.bootstrap import WORKERS_PATH
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.shippers_environment import shippers_environment
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Collector
from moesifasgi.shipper.adoption import adopt
from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Hello, Kind
from moesifasgi.wire.ring import Offer

APPLICATION = Application("an-application-that-leaves")
LANE = Lane(APPLICATION.application_id, "events")


class LeavingDialer(PathDialer):
    """A dialer with a state directory, in which a leaving worker may leave something behind."""

    directory = None  # type: ignore[assignment]

    left_bounds = leftovers.LeftBounds()  # type: ignore[assignment]

    def __init__(self, path: Path, directory: Path) -> None:
        super().__init__(path)
        self.directory = directory  # type: ignore[misc]


def offer(channel: UnixChannel, numbers: range) -> None:
    for number in numbers:
        assert channel.offer(Kind.RECORD, 0, b"\xcd" + number.to_bytes(2, "big")) is Offer.ACCEPTED


def adopted(directory: Path, spool: MemorySpool) -> list[int]:
    intake = Intake(spool, Registry(spool))
    adopt(directory, intake, frozenset(), lambda: intake.commit() is not None)
    chunks = spool.peek(LANE, 0, 10_000)
    return sorted(int.from_bytes(item.payload[1:], "big") for chunk in chunks for item in chunk.items)


def test_a_process_that_leaves_twice_without_a_shipper_leaves_everything_behind(short_dir: Path):
    channel = UnixChannel(LeavingDialer(short_dir / "nobody.sock", short_dir), 1_000, 1_000_000)
    channel.register(APPLICATION)
    for numbers in (range(50), range(50, 57)):
        offer(channel, numbers)
        channel.close()
    assert adopted(short_dir, MemorySpool()) == list(range(57))
    assert channel.stats()["acked"] == 57
    assert channel.stats()["ring_events"] == 0


def test_what_is_offered_after_leaving_is_sent_beside_what_was_left(short_dir: Path):
    path = short_dir / "s.sock"
    channel = UnixChannel(LeavingDialer(path, short_dir), 1_000, 1_000_000)
    channel.register(APPLICATION)
    offer(channel, range(20))
    channel.close()
    spool = MemorySpool()
    with FarEnd(path, spool) as far_end:
        offer(channel, range(20, 30))
        eventually(lambda: len(far_end.stored()) == 10, 3.0, "the later ones are stored")
        channel.close()
    assert adopted(short_dir, spool) == list(range(30))
    assert spool.totals().gaps == 0


def test_what_cannot_be_left_behind_is_counted_as_dropped(short_dir: Path):
    channel = UnixChannel(LeavingDialer(short_dir / "nobody.sock", short_dir / "missing"), 100, 100_000)
    channel.register(APPLICATION)
    offer(channel, range(3))
    channel.close()
    assert channel.stats()["dropped.not_left_behind"] == 3


def test_a_process_without_descriptors_keeps_its_events_until_it_has_some(short_dir: Path, monkeypatch):
    path = short_dir / "s.sock"
    channel = UnixChannel(PathDialer(path), 1_000, 1_000_000)
    channel.register(APPLICATION)
    real = socket.socketpair

    def none_left(*_args: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("moesifasgi.channel.carrier.BACKOFF_LONGEST_S", 0.05)
    monkeypatch.setattr(socket, "socketpair", none_left)
    offer(channel, range(5))
    channel.start()
    monkeypatch.setattr(socket, "socketpair", real)
    with FarEnd(path) as far_end:

        def stored_after_another_offer() -> bool:
            channel.start()
            return len(far_end.stored()) == 5

        eventually(stored_after_another_offer, 3.0, "all are stored")
        channel.close()


def test_a_script_that_ends_without_a_flush_loses_nothing(short_dir: Path):
    """The exit hook: no server, no lifespan, no word of the program's own."""
    script = """
        import moesifasgi
        moesifasgi.update_user({"user_id": "ada"})
    """
    environment = {
        **os.environ,
        "MOESIF_APPLICATION_ID": APPLICATION.application_id,
        "MOESIF_TRANSPORT": "unix",
        "MOESIF_SPOOL_DIR": str(short_dir / "state"),
        "MOESIF_SHIPPER_SOCKET": str(short_dir / "s.sock"),
    }
    with FarEnd(short_dir / "s.sock") as far_end:
        far_end.drain_answer = True, ""
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], env=environment, check=True, timeout=20
        )
        eventually(lambda: len(far_end.stored()) == 1, 2.0, "the update is stored")


def test_the_shipper_looks_last_where_a_relative_python_path_says(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["lib", "/usr/lib/x"])
    made = shippers_environment(
        {"PYTHONPATH": "lib", "MOESIF_APPLICATION_ID": "secret", "NOTIFY_SOCKET": "/n"}
    )
    assert made == {WORKERS_PATH: f"{tmp_path / 'lib'}{os.pathsep}/usr/lib/x"}


def test_modules_of_the_application_take_no_place_of_the_shippers(short_dir: Path, collector: Collector):
    """Decision 13: an application has a ``requests.py`` of its own, and PYTHONPATH says so."""
    for name in ("requests", "click"):
        (short_dir / f"{name}.py").write_text("raise SystemExit('not for the shipper')")
    script = """
        import moesifasgi
        moesifasgi.update_user({"user_id": "ada"})
        assert moesifasgi.flush(20)
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(short_dir),
        "MOESIF_APPLICATION_ID": APPLICATION.application_id,
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_SPOOL_DIR": str(short_dir / "state"),
        "MOESIF_SHIPPER_SOCKET": str(short_dir / "none.sock"),
    }
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=True, timeout=40)
    assert [user["user_id"] for user in collector.store.items("users")] == ["ada"]
    eventually(lambda: not shippers_of(short_dir), 20.0, "the shipper leaves by itself")


def test_a_process_whose_thread_could_not_start_leaves_its_events_behind(short_dir: Path, monkeypatch):
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    channel = UnixChannel(LeavingDialer(short_dir / "nobody.sock", short_dir), 1_000, 1_000_000)
    channel.register(APPLICATION)
    offer(channel, range(5))
    channel.close()
    assert adopted(short_dir, MemorySpool()) == list(range(5))


@pytest.mark.parametrize(
    "bounds", [leftovers.LeftBounds(max_bytes=100), leftovers.LeftBounds(min_free_bytes=1 << 60)], ids=repr
)
def test_beyond_its_bound_or_the_disks_reserve_nothing_more_is_left_behind(
    bounds: leftovers.LeftBounds, short_dir: Path, monkeypatch
):
    for limits, acked, dropped in ((leftovers.LeftBounds(), 50, 0), (bounds, 0, 50)):
        monkeypatch.setattr(LeavingDialer, "left_bounds", limits)
        channel = UnixChannel(LeavingDialer(short_dir / "nobody.sock", short_dir), 1_000, 1_000_000)
        channel.register(APPLICATION)
        offer(channel, range(50))
        channel.close()
        assert channel.stats().get("acked", 0) == acked
        assert channel.stats().get("dropped.not_left_behind", 0) == dropped


def is_free(path: Path) -> bool:
    with leftovers.found_at(path) as found:
        return found is not None


def test_a_child_holds_no_file_that_its_parent_has_found(short_dir: Path):
    leftovers.leave_behind(short_dir, Hello(1, 1, bytes(16), 1, 1, "0", []), [])
    (path,) = leftovers.left_in(short_dir)
    with leftovers.found_at(path) as found:
        assert found is not None
        if not (child := os.fork()):
            time.sleep(60)
            os._exit(0)
    try:
        eventually(lambda: is_free(path), 5.0, "it is free, although the child lives")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

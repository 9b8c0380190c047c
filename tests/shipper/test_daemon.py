"""The shipper as a process: what it does for its workers, and when they are gone."""

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgpack
import pytest
from lab.far_end import Speaker
from lab.processes import eventually
from lab.status import status_in

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.daemon import Daemon
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.shipper.tool import ask_flush
from moesifasgi.unix_socket import listening
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind, StatusReply, StatusRequest, Supersede

GOOD, REFUSED = "the-application-that-is-well-known", "the-application-that-nobody-knows"
USER = msgpack.packb({"user_id": "ada"})


@contextmanager
def shipper(directory: Path, command: str, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """``moesif-shipper COMMAND`` until the block ends."""
    argv = [sys.executable, "-m", "moesifasgi.shipper", command, *options]
    with subprocess.Popen(argv, cwd="/") as process:
        try:
            eventually(lambda: status_in(directory), 10.0, "the shipper answers")
            yield process
        finally:
            process.kill()


def embedded(directory: Path, linger_s: float = 10.0):
    return shipper(
        directory,
        "embedded",
        f"--dir={directory}",
        f"--linger={linger_s}",
        "--durability=normal",
        "--spool-max-bytes=100000000",
        "--spool-min-free-bytes=0",
    )


@pytest.fixture
def worker(short_dir: Path, collector: Collector) -> Iterator[Callable[..., UnixChannel]]:
    made: list[UnixChannel] = []

    def make(application_id: str = GOOD, **settings: object) -> UnixChannel:
        channel = UnixChannel(PathDialer(short_dir / SOCKET_NAME), 10_000, 10_000_000)
        channel.register(Application(application_id, base_uri=collector.url, **settings))
        made.append(channel)
        return channel

    yield make
    for channel in made:
        channel.close()


def test_when_the_last_worker_has_gone_no_batch_waits_to_fill(short_dir, collector, worker):
    with embedded(short_dir, linger_s=5.0) as process:
        channel = worker(batch_timeout_s=600.0)
        channel.offer(Kind.USER, 0, USER)
        eventually(lambda: status_in(short_dir)["counters"]["received"] == 1, 5.0, "it is taken")
        channel.close()
        eventually(lambda: collector.store.counts("users").received == 1, 3.0, "it is delivered")
        assert process.wait(10.0) == 0


def test_a_drain_waits_for_the_askers_own_applications_only(short_dir, collector, worker):
    collector.accept({GOOD})
    with embedded(short_dir):
        refused, good = worker(REFUSED), worker(GOOD)
        refused.offer(Kind.USER, 0, USER)
        eventually(lambda: not status_in(short_dir)["healthy"], 5.0, "one application is parked")
        good.offer(Kind.USER, 0, USER)
        assert good.drain(5.0, give_up=False).delivered
        left = refused.drain(5.0, give_up=True)
        assert not left.delivered
        assert "401" in left.reason


def test_sigterm_is_heeded_only_without_workers(short_dir, collector, worker):
    with embedded(short_dir) as process:
        channel = worker()
        channel.offer(Kind.USER, 0, USER)
        eventually(lambda: status_in(short_dir)["workers"], 5.0, "the worker is there")
        process.terminate()
        channel.offer(Kind.USER, 0, USER)
        assert channel.drain(5.0, give_up=False).delivered
        channel.close()
        assert process.wait(5.0) == 0
    assert collector.store.counts("users").received == 2


def test_only_a_workers_own_shipper_gives_way_to_a_newer_version(short_dir):
    """Who runs a standalone one decides when another version takes its place."""
    options = f"--spool-dir={short_dir}", f"--socket={short_dir / SOCKET_NAME}"
    with shipper(short_dir, "run", *options) as process, Speaker(short_dir / SOCKET_NAME) as successor:
        successor.say(Supersede("999.0.0"), StatusRequest())
        assert isinstance(successor.answer(), StatusReply)
        assert status_in(short_dir)["pid"] == process.pid
    with embedded(short_dir) as process, Speaker(short_dir / SOCKET_NAME) as successor:
        successor.hello()
        successor.say(Supersede("999.0.0"))
        assert process.wait(5.0) == 0


def test_the_difference_is_nothing_whenever_it_is_asked(short_dir, collector, worker):
    with embedded(short_dir):
        channel = worker(batch_size=1)
        for _ in range(300):
            channel.offer(Kind.USER, 0, USER)
        differences = set()

        def delivered() -> bool:
            found = status_in(short_dir)
            differences.add(found["counters"]["difference"])
            return found["counters"]["delivered"] == 300

        eventually(delivered, 15.0, "all are delivered")
    assert differences == {0}


def test_a_standalone_shipper_takes_over_what_the_one_before_had_spooled(short_dir, collector, worker):
    options = (f"--spool-dir={short_dir}", f"--socket={short_dir / SOCKET_NAME}", "--log-level=error")
    collector.behave(Behaviour(status=503))
    with shipper(short_dir, "run", *options) as process:
        channel = worker()
        for _ in range(50):
            channel.offer(Kind.USER, 0, USER)
        eventually(lambda: status_in(short_dir)["spool"]["events"] == 50, 5.0, "all are spooled")
        process.terminate()
        assert process.wait(5.0) == 0
    collector.behave(None)
    with shipper(short_dir, "run", *options):
        assert ask_flush(short_dir / SOCKET_NAME, 10.0).delivered
    assert collector.store.counts("users").received == 50


def test_the_policy_of_an_application_is_looked_after_while_it_has_workers(short_dir, collector, worker):
    def is_polled(label: str) -> bool:
        policy = status_in(short_dir)["applications"][label]["policy"]
        return policy["state"] == "ok" and policy["next_check_in_seconds"] is not None

    with embedded(short_dir):
        other = worker(REFUSED)
        for channel in (worker(GOOD), other):
            channel.offer(Kind.USER, 0, USER)
        labels = [Application(each).label for each in (GOOD, REFUSED)]
        eventually(lambda: len(status_in(short_dir)["applications"]) == 2, 5.0, "both are known")
        eventually(lambda: all(map(is_polled, labels)), 5.0, "both are polled")
        other.close()
        eventually(lambda: not is_polled(labels[1]), 5.0, "the other is let go")
        assert is_polled(labels[0])
        worker(REFUSED).offer(Kind.USER, 0, USER)
        eventually(lambda: is_polled(labels[1]), 5.0, "it is back")


def test_a_shipper_takes_as_many_descriptors_as_it_may_have(short_dir):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 300), hard))
    try:
        with embedded(short_dir) as process:
            assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_shipper_that_has_left_leaves_no_thread_behind(short_dir, monkeypatch):
    monkeypatch.setattr("moesifasgi.shipper.presence.FIRST_WORKER_S", 0.0)
    before = set(threading.enumerate())
    spool = open_spool(short_dir, max_bytes=1 << 20, min_free_bytes=0, durability="normal")
    Daemon(Options(short_dir, short_dir / SOCKET_NAME, embedded=True), spool).run()
    assert set(threading.enumerate()) <= before


def test_a_shipper_that_leaves_deletes_no_socket_but_its_own(short_dir, collector, worker):
    with embedded(short_dir, linger_s=0.0) as process:
        channel = worker()
        channel.offer(Kind.USER, 0, USER)
        eventually(lambda: len(status_in(short_dir).get("workers", ())) == 1, 5.0, "a worker is there")
        process.send_signal(signal.SIGSTOP)
        (short_dir / SOCKET_NAME).unlink()
        with closing(listening(short_dir / SOCKET_NAME, 0o600)):
            channel.close()
            process.send_signal(signal.SIGCONT)
            process.wait(20.0)
            assert (short_dir / SOCKET_NAME).is_socket()


def test_a_standalone_shipper_makes_its_deleted_socket_again(short_dir):
    options = [f"--spool-dir={short_dir}", f"--socket={short_dir / SOCKET_NAME}"]
    with shipper(short_dir, "run", *options):
        (short_dir / SOCKET_NAME).unlink()
        eventually(lambda: status_in(short_dir), 10.0, "it answers again")


def test_a_flush_does_not_call_delivered_what_was_refused(short_dir, collector, worker):
    collector.behave(Behaviour(status=400))
    with embedded(short_dir):
        channel = worker(batch_timeout_s=3600.0)
        channel.offer(Kind.USER, 0, USER)
        eventually(lambda: status_in(short_dir)["counters"]["received"] == 1, 5.0, "it is in the spool")
        argv = [sys.executable, "-m", "moesifasgi.shipper", "flush", f"--socket={short_dir / SOCKET_NAME}"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd="/")
        assert (
            done.stdout == "nothing is left in the spool, but not all is delivered: 1 became dead letters\n"
        )
        assert done.returncode == 1

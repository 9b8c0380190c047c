"""What is said to systemd and taken from it, by a real shipper under a service manager of the test's own."""

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from lab.corpus import orders
from lab.processes import eventually
from lab.service_manager import ServiceManager
from lab.shipper_process import feed
from lab.status import status_at
from lab.tools import needed

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Collector
from moesifasgi.shipper.systemd import JournalFormatter, Manager, inherited_listener
from moesifasgi.wire.application import Application

APPLICATION = "application-of-the-service-tests"


def serves(manager: ServiceManager) -> bool:
    return bool(status_at(manager.path))


def test_a_service_says_when_it_serves_that_it_lives_how_it_is_and_when_it_leaves(short_dir):
    """Where NOTIFY_SOCKET is abstract; most of the others here have one with a path."""
    made = ServiceManager(short_dir, watchdog_s=5.0, abstract=True)
    with made as manager, manager.service() as shipper:
        manager.await_ready()
        assert serves(manager)
        assert manager.count(f"MAINPID={shipper.pid}") == 1
        eventually(lambda: manager.count("WATCHDOG=1") >= 2, 10.0, "the watchdog is fed")
        said = "STATUS=healthy (0 workers, 0 events in the spool)"
        eventually(lambda: manager.count(said), 10.0, "it says how it is")
        shipper.send_signal(signal.SIGHUP)
        eventually(lambda: manager.count("READY=1") == 2, 10.0, "it has read its configuration again")
        (reloading,) = (told.lines for told in manager.told if "RELOADING=1" in told.lines)
        assert reloading[1].startswith("MONOTONIC_USEC=")
        shipper.terminate()
        assert shipper.wait(15.0) == 0
        leaving = next(told for told in manager.told if "STOPPING=1" in told.lines)
        assert leaving.lines == ("STOPPING=1", "EXTEND_TIMEOUT_USEC=20000000")


def test_who_is_not_watched_feeds_nobody(short_dir):
    """WATCHDOG_PID names another process: that one is watched."""
    with ServiceManager(short_dir, watchdog_s=5.0) as manager:
        assert Manager.from_environ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}, 2).watchdog_s is None
        assert Manager.from_environ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "2"}, 2).watchdog_s == 5.0
        with manager.service(environ={"NOTIFY_SOCKET": ""}):
            eventually(lambda: serves(manager), 10.0, "it serves all the same")
        assert manager.told == []


def test_a_manager_that_has_gone_or_does_not_read_stops_nothing(short_dir):
    manager = Manager(str(short_dir / "nobody"), 1.0)
    manager.ready()
    manager.say("two\nlines")
    manager.close()
    manager.alive()
    full, address = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), str(short_dir / "full")
    with full:
        full.bind(address)
        speaker = Manager(address, 1.0)
        speaker.say("x" * 1_000_000)
        speaker.say("two\nlines")
        assert full.recv(100) == b"STATUS=two lines"
        speaker.close()


def test_the_socket_outlives_its_shippers_and_nothing_offered_meanwhile_is_lost(
    short_dir, collector: Collector
):
    with ServiceManager(short_dir) as manager:
        manager.listen()
        inode = manager.path.stat().st_ino
        channel = UnixChannel(PathDialer(manager.path), 100_000, 1 << 25)
        channel.register(Application(APPLICATION, base_uri=collector.url, batch_timeout_s=0.1))
        offered: set[str] = set()
        for round_ in range(3):
            began = len(manager.told)
            with manager.service() as shipper:
                manager.await_ready(began)
                offered |= feed(channel, orders(50, seed=round_))
                shipper.terminate()
                assert shipper.wait(15.0) == 0
            assert manager.path.stat().st_ino == inode
            # Nobody serves now, and yet the connection is made: it waits for the next shipper.
            offered |= feed(channel, orders(50, seed=100 + round_))
        with manager.service():
            eventually(lambda: not offered - collector.store.transaction_ids(), 20.0, "all arrive")
            channel.close()
        assert collector.store.counts("events").received == len(offered)


def test_systemd_itself_opens_the_socket(short_dir, collector: Collector):
    needed("systemd-socket-activate")
    path = short_dir / "s"
    argv = ["systemd-socket-activate", f"--listen={path}", sys.executable, "-P", "-m", "moesifasgi.shipper"]
    argv += ["run", f"--spool-dir={short_dir}", f"--socket={path}"]
    with (short_dir / "log").open("wb") as log, subprocess.Popen(argv, cwd="/", stderr=log) as shipper:
        try:
            eventually(path.exists, 10.0, "systemd listens")
            channel = UnixChannel(PathDialer(path), 1_000, 1 << 20)
            channel.register(Application(APPLICATION, base_uri=collector.url, batch_timeout_s=0.1))
            offered = feed(channel, orders(20))
            eventually(lambda: not offered - collector.store.transaction_ids(), 20.0, "all arrive")
            channel.close()
            shipper.terminate()
            assert shipper.wait(15.0) == 0
            assert path.exists()
        finally:
            shipper.kill()


def test_a_socket_of_another_kind_is_refused_in_one_line(short_dir):
    with ServiceManager(short_dir) as manager, socket.create_server(("127.0.0.1", 0)) as wrong:
        manager.listen(wrong.dup())
        with manager.service() as shipper:
            assert shipper.wait(15.0) == 1
        assert "expected a listening Unix stream socket of systemd" in manager.log()
        assert "Traceback" not in manager.log()


def test_sockets_for_another_process_or_too_many_are_not_taken():
    assert inherited_listener({}, 7) is None
    assert inherited_listener({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, 7) is None
    assert inherited_listener({"LISTEN_PID": "7", "LISTEN_FDS": "x"}, 7) is None
    with pytest.raises(OSError, match="expected one socket of systemd, got 2"):
        inherited_listener({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, 7)


def test_lines_for_the_journal_carry_their_level_each(short_dir):
    record = logging.LogRecord("moesifasgi", logging.ERROR, "", 0, "first\nsecond", None, None)
    assert JournalFormatter("%(message)s").format(record) == "<3>first\n<3>second"
    with ServiceManager(short_dir) as manager:
        log = short_dir / "log"
        log.touch()
        found = log.stat()
        with manager.service(environ={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}) as shipper:
            manager.await_ready()
            shipper.send_signal(signal.SIGTERM)
            shipper.wait(15.0)
        assert all(line.startswith("<6>moesifasgi.shipper: ") for line in manager.log().splitlines())
        assert len(manager.log().splitlines()) == 2


def test_what_systemd_said_to_the_shipper_reaches_no_process_that_it_starts(short_dir):
    """An embedded shipper's workers, too, may be services of their own."""
    with ServiceManager(short_dir, watchdog_s=5.0) as manager, manager.service() as shipper:
        manager.await_ready()
        assert b"NOTIFY_SOCKET" in Path(f"/proc/{shipper.pid}/environ").read_bytes()
    script = (
        "import os; from moesifasgi.shipper.supervision import Supervision; Supervision(None, 1.0);"
        "print(sorted({'NOTIFY_SOCKET', 'WATCHDOG_USEC', 'LISTEN_FDS'} & set(os.environ)))"
    )
    environ = {**os.environ, "NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1", "LISTEN_FDS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

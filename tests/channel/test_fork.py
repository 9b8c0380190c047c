"""A fork in the middle of things: the child is a worker of its own, and the connection stays the parent's."""

import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import msgpack
import psutil
import pytest
from lab.far_end import FarEnd, silent_listener
from lab.processes import eventually, has_ended

COMMON = """
import os, sys, time
from pathlib import Path
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.wire.application import Application

channel = UnixChannel(PathDialer(Path(sys.argv[1])), 10_000, 1 << 24)
channel.register(Application("app-of-the-tests"))

def offer(who, numbers):
    for number in numbers:
        channel.counters.add("captured")
        assert channel.offer(0, 0, b"%c%03d" % (who, number)).value == "accepted"

def leave():
    drained = channel.drain(5.0, give_up=True)
    assert drained.delivered, drained
    assert channel.stats()["acked"] == channel.stats()["captured"], channel.stats()
    channel.close()
"""


def script(body: str, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", COMMON + textwrap.dedent(body), str(path)])


@pytest.fixture
def path(short_dir: Path) -> Path:
    return short_dir / "s.sock"


def test_parent_and_child_both_deliver_and_nothing_twice(path: Path):
    """B7: threads that were started before a fork did not exist after it."""
    body = """
        offer(ord("p"), range(100))          # Some of it is on its way, some not, when the fork happens.
        children = []
        for who in (ord("a"), ord("b")):
            pid = os.fork()
            if pid == 0:
                assert channel.stats()["captured"] == channel.stats()["ring_events"] == 0
                offer(who, range(100))
                leave()
                os._exit(0)
            children.append(pid)
        offer(ord("p"), range(100, 200))
        leave()
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
    """
    with FarEnd(path) as far_end:
        assert script(body, path).wait(20) == 0
        stored = far_end.stored()

    by_worker = {b"p": range(200), b"a": range(100), b"b": range(100)}
    for who, numbers in by_worker.items():
        mine = [one for one in stored if one.payload[:1] == who]
        assert [int(one.payload[1:]) for one in mine] == list(numbers)
        assert [one.sequence for one in mine] == list(range(1, len(numbers) + 1))
        assert len({one.session for one in mine}) == 1
    assert len({one.session for one in stored}) == 3
    assert far_end.receiver.malformed == 0


WAITING_CHILD = """
    channel.start()
    {until}
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(60)
"""


def test_a_parents_death_is_seen_although_its_child_lives(path: Path):
    """The child has closed its copy of the connection, or the shipper would wait for a dead worker."""
    body = WAITING_CHILD.format(
        until='offer(ord("p"), range(3)); assert channel.drain(5.0, give_up=False).delivered'
    )
    with FarEnd(path) as far_end, script(body, path) as process:
        parent = psutil.Process(process.pid)
        (child,) = eventually(parent.children, 10.0, "it has forked")
        eventually(lambda: far_end.receiver.workers, 5.0, "the parent is connected")
        process.kill()
        try:
            eventually(lambda: not far_end.receiver.workers, 2.0, "the parent's death is seen")
            assert not has_ended(child)
        finally:
            child.kill()


def test_a_connection_that_is_being_made_is_the_parents_too(path: Path):
    with closing(silent_listener(path)) as listener:
        listener.settimeout(10.0)
        body = WAITING_CHILD.format(until="while channel._carrier._connected is None: time.sleep(0.01)")
        with script(body, path) as process:
            accepted, _ = listener.accept()
            with closing(accepted):
                accepted.settimeout(2.0)
                (child,) = eventually(psutil.Process(process.pid).children, 10.0, "it has forked")
                process.kill()
                try:
                    while accepted.recv(1 << 16):
                        pass  # Its HELLO; then the end of the stream, although the child lives.
                    assert not has_ended(child)
                finally:
                    child.kill()


def test_a_child_keeps_the_policy_in_force_and_hears_of_the_next(path: Path):
    body = """
        heard = []
        channel.watch(0, lambda document: heard.append(document["rules"]))
        channel.start()
        channel.report(0, ("of the parent",))

        def until(*rules):
            while heard != [list(each) for each in rules]:
                assert len(heard) <= len(rules), heard
                time.sleep(0.01)

        until([1])
        pid = os.fork()
        if pid == 0:
            heard.clear()
            channel.start()
            offer(ord("a"), range(1))
            until([2])
            leave()
            os._exit(0)
        offer(ord("p"), range(1))
        until([1], [2])
        leave()
        assert os.waitpid(pid, 0)[1] == 0
    """
    with FarEnd(path) as far_end:
        far_end.receiver.push("app-of-the-tests", msgpack.packb({"rules": [1]}))
        with script(body, path) as process:
            eventually(lambda: len(far_end.receiver.workers) == 2, 10.0, "parent and child are there")
            far_end.receiver.push("app-of-the-tests", msgpack.packb({"rules": [2]}))
            assert process.wait(20) == 0


def test_a_fork_while_a_listener_is_at_work_leaves_the_child_able_to_listen(path: Path):
    body = """
        import threading
        at_work, go_on, parent = threading.Event(), threading.Event(), os.getpid()
        heard = []

        def listen(document):
            if os.getpid() == parent:
                at_work.set()
                go_on.wait(10)
            heard.append(document["rules"])

        channel.watch(0, listen)
        channel.start()
        assert at_work.wait(10)
        pid = os.fork()
        if pid == 0:
            channel.start()
            while heard != [[1]]:
                time.sleep(0.01)
            channel.watch(0, listen)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        go_on.set()
    """
    with FarEnd(path) as far_end:
        far_end.receiver.push("app-of-the-tests", msgpack.packb({"rules": [1]}))
        with script(body, path) as process:
            try:
                assert process.wait(10) == 0
            finally:
                process.kill()


def test_a_child_can_make_a_middleware_although_the_parent_was_making_one(path: Path):
    body = """
        import threading
        from moesifasgi import MoesifMiddleware
        from moesifasgi.channel import registry

        held, done = threading.Event(), threading.Event()

        def be_at_it():
            with registry._lock:
                held.set()
                done.wait(20)

        threading.Thread(target=be_at_it, daemon=True).start()
        assert held.wait(10)
        pid = os.fork()
        if pid == 0:
            MoesifMiddleware(settings={"APPLICATION_ID": "a", "TRANSPORT": "memory"})
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        done.set()
    """
    with script(body, path) as process:
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()

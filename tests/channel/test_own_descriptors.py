"""What only this process may have, where a child is forked in the worst of moments."""

import fcntl
import os
import socket
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from lab.forks import is_free, living_child

from moesifasgi.channel import own_descriptors
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.launcher import Launcher, ShipperOptions
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.places import LAUNCH_LOCK_NAME
from moesifasgi.wire.application import Application
from moesifasgi.wire.ring import Offer


def test_a_lock_is_let_go_although_a_child_was_forked_before_it_was_known_to_be_ours(tmp_path: Path):
    path = tmp_path / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    with living_child():
        own_descriptors.keep(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert not is_free(path)
        own_descriptors.let_go(descriptor)
        assert is_free(path)


def test_a_connection_ends_although_a_child_was_forked_before_it_was_known_to_be_ours():
    ours, theirs = socket.socketpair()
    with closing(theirs), living_child():
        own_descriptors.keep(ours.fileno())
        own_descriptors.let_go(ours.detach())
        theirs.settimeout(5.0)
        assert theirs.recv(1) == b""


def test_a_child_that_no_hook_saw_unlocks_nothing_of_its_parent(tmp_path: Path):
    path = tmp_path / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    parents = os.dup(descriptor)
    own_descriptors._own[descriptor] = os.getppid()
    own_descriptors.let_go(descriptor)
    assert not is_free(path)
    os.close(parents)
    assert is_free(path)


def test_the_launch_lock_is_let_go_although_a_child_was_forked_as_it_was_opened(tmp_path: Path, monkeypatch):
    launcher, keep = Launcher(tmp_path, ShipperOptions()), own_descriptors.keep
    with ExitStack() as children:

        def forked_before(descriptor: int) -> None:
            children.enter_context(living_child())
            keep(descriptor)

        monkeypatch.setattr(own_descriptors, "keep", forked_before)
        assert launcher._acquire()
        launcher.abandon()
        assert is_free(tmp_path / LAUNCH_LOCK_NAME)


def test_a_child_that_is_forked_as_the_launch_lock_is_closed_closes_nothing_of_its_own(
    tmp_path: Path, monkeypatch
):
    launcher = Launcher(tmp_path, ShipperOptions())
    assert launcher._acquire()
    close, stati = os.close, []

    def closed_and_forked(descriptor: int) -> None:
        close(descriptor)
        if stati:
            return
        stati.append(-1)
        if child := os.fork():
            stati[0] = os.waitpid(child, 0)[1]
            return
        os.open(os.devnull, os.O_RDONLY)  # Has the number of the lock that was closed.
        with suppress(OSError):
            launcher.abandon()
            os.fstat(descriptor)
            os._exit(0)
        os._exit(1)

    monkeypatch.setattr(os, "close", closed_and_forked)
    launcher.abandon()
    monkeypatch.undo()
    assert stati == [0]


class StubbornDialer(PathDialer):
    """Its descriptors cannot be closed."""

    def abandon(self) -> None:
        raise OSError(9, "Bad file descriptor")


def test_a_child_captures_although_what_is_its_parents_cannot_be_let_go(tmp_path: Path):
    dialers = [StubbornDialer(tmp_path / "nobody.sock"), StubbornDialer(tmp_path / "nobody.sock")]
    channels = [UnixChannel(dialer, 100, 1 << 20) for dialer in dialers]
    for channel in channels:
        channel.register(Application("app-of-the-tests"))
    if not (child := os.fork()):
        with suppress(Exception):
            anew = [channel._carrier.pid == os.getpid() for channel in channels]
            accepted = [channel.offer(0, 0, b"\x90") is Offer.ACCEPTED for channel in channels]
            os._exit(0 if all(anew + accepted) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0

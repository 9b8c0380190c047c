"""A start of the embedded shipper, seen from the worker: when it is waited for, when not, and when again."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psutil
import pytest
from lab.far_end import FarEnd, silent_listener
from lab.forks import is_free, living_child
from lab.processes import eventually, kill_all, shippers_of

from moesifasgi.channel import carrier, dial, spawn
from moesifasgi.channel.dial import AutoDialer, EmbeddedDialer, PathDialer, StateDirectory
from moesifasgi.channel.launcher import Launcher, ShipperOptions
from moesifasgi.channel.retries import SHORT_LIVES
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.places import LAUNCH_LOCK_NAME, SOCKET_NAME

WAIT_S = 10.0


@pytest.fixture
def embedded(state: Path) -> EmbeddedDialer:
    return EmbeddedDialer(StateDirectory(str(state)), ShipperOptions())


def program(short_dir: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> Path:
    """A program in place of the interpreter; returns where it counts its starts."""
    made, starts = short_dir / "program", short_dir / "starts"
    made.write_text(f"#!/bin/sh\necho >> {starts}\n{does}\n")
    made.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(made))
    return starts


def started(starts: Path) -> int:
    return len(starts.read_bytes())


@pytest.fixture
def slow_start(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing comes of a start for a minute."""
    program(short_dir, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(dial, "WAIT_S", 0.1)
    monkeypatch.setattr(spawn, "LEAVES_S", 0.05)
    before = psutil.Process().children()
    yield
    for child in psutil.Process().children():
        if child not in before:
            child.kill()
            child.wait(WAIT_S)


@pytest.mark.usefixtures("slow_start")
def test_a_closed_channel_lets_go_of_a_start_under_way(embedded: EmbeddedDialer, state: Path):
    channel = UnixChannel(embedded, 100, 1 << 20)
    channel.start()
    eventually(lambda: embedded.starting, WAIT_S, "one is being started")
    assert not is_free(state / LAUNCH_LOCK_NAME)
    channel.close()
    eventually(lambda: is_free(state / LAUNCH_LOCK_NAME), WAIT_S, "another worker may start one")
    assert not embedded.starting


@pytest.mark.usefixtures("slow_start")
def test_a_standalone_shipper_that_comes_meanwhile_ends_the_wait(
    embedded: EmbeddedDialer, state: Path, short_dir: Path
):
    path = short_dir / "standalone.sock"
    dialer = AutoDialer(PathDialer(path), embedded)
    with pytest.raises(FileNotFoundError):
        dialer()
    assert dialer.starting
    with closing(silent_listener(path)), dialer():
        assert not dialer.starting
        assert is_free(state / LAUNCH_LOCK_NAME)


def test_a_child_that_is_forked_while_an_attendant_leaves_has_no_part_in_the_connection(
    embedded: EmbeddedDialer, state: Path, monkeypatch: pytest.MonkeyPatch
):
    with closing(silent_listener(state / SOCKET_NAME)) as listener, ExitStack() as children:
        listener.settimeout(WAIT_S)
        monkeypatch.setattr(Launcher, "arrived", lambda _: children.enter_context(living_child()))
        embedded().close()
        accepted, _ = listener.accept()
        with closing(accepted):
            accepted.settimeout(2.0)
            assert accepted.recv(1) == b""


def test_a_worker_in_a_deleted_directory_starts_a_shipper(
    embedded: EmbeddedDialer, state: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    """Servers look for the application in "", the working directory; a deploy may have deleted that."""
    deleted = short_dir / "release"
    deleted.mkdir()
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = Path.cwd()
    os.chdir(deleted)
    deleted.rmdir()
    try:
        eventually(lambda: reached(embedded), WAIT_S, "it serves")
    finally:
        os.chdir(before)
        kill_all(shippers_of(state))


def reached(dialer: EmbeddedDialer) -> bool:
    with suppress(FileNotFoundError, ConnectionRefusedError), dialer():
        return True
    return False


@pytest.mark.parametrize("interpreter", [None, "", "/no/such/interpreter", "with a \0"])
def test_a_start_that_cannot_be_leaves_nothing_held(
    interpreter: str | None, embedded: EmbeddedDialer, state: Path, monkeypatch: pytest.MonkeyPatch
):
    """An embedded interpreter may not know its own name."""
    monkeypatch.setattr(sys, "executable", interpreter)
    before = psutil.Process().num_fds()
    with pytest.raises((OSError, ValueError)):
        embedded()
    assert psutil.Process().num_fds() == before
    assert is_free(state / LAUNCH_LOCK_NAME)


def test_a_spool_that_is_in_use_with_another_socket_is_said_and_not_asked_for_all_the_time(
    embedded: EmbeddedDialer, state: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each start ends in good order there, as one does that was not quick enough."""
    starts = program(short_dir, monkeypatch, "printf 1. >&0")
    monkeypatch.setattr(dial, "WAIT_S", WAIT_S)
    with pytest.raises(ChildProcessError, match=f"the spool in {state} is in use"):
        embedded()
    assert not embedded.starting
    assert started(starts) == 2
    with pytest.raises(FileNotFoundError):
        embedded()
    assert started(starts) == 2
    with pytest.raises(ChildProcessError, match="in use"):
        eventually(lambda: reached(embedded), WAIT_S, "it is tried again")
    assert started(starts) == 3


@pytest.mark.usefixtures("slow_start")
def test_a_shipper_that_dies_as_soon_as_it_answers_is_replaced_at_once_only_the_first_times(state: Path):
    launcher = Launcher(state, ShipperOptions())

    def is_replaced_at_once() -> bool:
        launcher.arrived()
        return launcher.step()

    assert [is_replaced_at_once() for _ in range(SHORT_LIVES + 1)] == [True] * SHORT_LIVES + [False]
    eventually(launcher.step, WAIT_S, "it is replaced all the same")
    launcher.abandon()


def test_a_process_that_took_its_time_to_leave_is_reaped_while_the_worker_is_served(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(carrier, "HERITAGE_INTERVAL_S", 0.02)
    if not (late := os.fork()):
        os._exit(0)
    spawn._orphans.add(late)
    with FarEnd(short_dir / "s.sock") as far_end:
        channel = UnixChannel(PathDialer(far_end.path), 100, 1 << 20)
        channel.start()
        eventually(lambda: late not in spawn._orphans, WAIT_S, "it is reaped")
        channel.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(late, os.WNOHANG)

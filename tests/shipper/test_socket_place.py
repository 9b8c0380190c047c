"""The name that workers find a shipper by, and what others do to it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from lab import nobody
from lab.requirement import require
from lab.shipper_process import started

from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.socket_place import SocketPlace
from moesifasgi.unix_socket import answers, connected, listening

MODE = 0o600
LISTENER = """
import socket, sys, time
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listens", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(short_dir: Path) -> Path:
    return short_dir / "s.sock"


@pytest.fixture
def place(path: Path) -> Iterator[SocketPlace]:
    made = SocketPlace(path, None)
    with closing(made.listener(MODE, None)):
        yield made


def faults(place: SocketPlace) -> list[str]:
    return [reason.what for reason in place.reasons]


def test_as_long_as_it_is_ours_nothing_is_made_or_said(place: SocketPlace) -> None:
    assert place.look(MODE, None) is None
    assert not place.reasons


def test_a_deleted_socket_and_a_deserted_one_are_made_again(place: SocketPlace, path: Path) -> None:
    path.unlink()
    with closing(place.look(MODE, None)) as again, closing(connected(path, 1.0)):
        again.accept()[0].close()
        assert place.look(MODE, None) is None
        path.unlink()
        listening(path, MODE).close()
        with closing(place.look(MODE, None)):
            assert answers(path, 1.0)
            assert not place.reasons


@pytest.mark.timeout(15)
def test_where_somebody_else_listens_it_is_told_and_nothing_is_taken(place: SocketPlace, path: Path) -> None:
    path.unlink()
    with closing(listening(path, MODE, backlog=0)):
        # Its backlog is full by then: that is no reason to wait for it, nor to take its place.
        for _ in range(50):
            assert place.look(MODE, None) is None
            assert faults(place) == [f"{path} is another socket, of user id {os.geteuid()}"]
        place.open_to(0o666, None)
        assert path.stat().st_mode & 0o777 == MODE
        place.leave()
        assert path.is_socket()
    with closing(place.look(MODE, None)):
        assert answers(path, 1.0)
        assert not place.reasons
        place.leave()
        assert not path.exists()


def test_a_file_in_its_place_is_left_and_told(place: SocketPlace, path: Path) -> None:
    path.unlink()
    path.write_text("a file")
    assert place.look(MODE, None) is None
    told = f"the socket {path} is gone, and cannot be made again: {path} exists and is not a socket"
    assert faults(place) == [told]
    assert path.read_text() == "a file"
    path.unlink()
    with closing(place.look(MODE, None)):
        assert not place.reasons


@pytest.mark.parametrize("target", ["nowhere", "s.sock"], ids=["dangling", "looping"])
def test_a_symlink_in_its_place_is_told_as_what_it_is(place: SocketPlace, path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(path.with_name(target))
    assert place.look(MODE, None) is None
    told = f"the socket {path} is gone, and cannot be made again: {path} exists and is not a socket"
    assert faults(place) == [told]
    assert path.is_symlink()


def test_what_the_service_manager_holds_is_neither_made_again_nor_deleted_but_missed(path: Path) -> None:
    with closing(listening(path, MODE)) as inherited:
        place = SocketPlace(path, inherited)
        assert place.listener(MODE, None) is inherited
        assert place.look(MODE, None) is None
        place.leave()
        assert path.is_socket()
        path.unlink()
        assert place.look(MODE, None) is None
        assert faults(place) == [f"the socket {path} is not the service manager's any more"]
        assert not path.exists()


def deleted(path: Path, stack: ExitStack) -> None:
    path.unlink()


def deserted(path: Path, stack: ExitStack) -> None:
    path.unlink()
    listening(path, MODE).close()


def replaced(path: Path, stack: ExitStack) -> None:
    path.unlink()
    command = [sys.executable, "-c", LISTENER, str(path)]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline()


@pytest.mark.parametrize("happens", [deleted, deserted, replaced])
def test_what_befell_the_service_managers_socket_before_the_start_is_told_until_it_is_back(
    happens: Callable[[Path, ExitStack], None], path: Path
):
    with closing(listening(path, MODE)) as inherited, ExitStack() as stack:
        kept = path.with_name("kept")
        os.link(path, kept)
        happens(path, stack)
        place = SocketPlace(path, inherited)
        place.listener(MODE, None)
        assert place.look(MODE, None) is None
        assert faults(place) == [f"the socket {path} is not the service manager's any more"]
        kept.replace(path)
        assert place.look(MODE, None) is None
        assert not place.reasons


def test_a_service_manager_may_listen_elsewhere(path: Path, short_dir: Path) -> None:
    with closing(listening(short_dir / "other.sock", MODE)) as inherited:
        place = SocketPlace(path, inherited)
        place.listener(MODE, None)
        assert place.look(MODE, None) is None
        assert not place.reasons


def test_a_socket_that_cannot_be_deleted_costs_nothing_of_the_leaving(short_dir: Path):
    """Its directory is closed by then: to us too, unless we are root."""
    require(nobody.missing_right())
    os.chown(short_dir, nobody.UID, nobody.UID)
    (short_dir / "spool").mkdir()
    os.chown(short_dir / "spool", nobody.UID, nobody.UID)
    options = [f"--spool-dir={short_dir / 'spool'}", f"--socket={short_dir / SOCKET_NAME}"]
    with started(short_dir, "run", *options, prefix=nobody.PREFIX) as shipper:
        short_dir.chmod(0o500)
        shipper.terminate()
        assert f"the socket {shipper.socket} cannot be deleted: Permission denied" in shipper.log()
        assert f"shipper {shipper.popen.pid} leaves" in shipper.log()

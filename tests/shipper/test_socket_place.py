"""The name that workers find a shipper by, and what others do to it."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab import nobody
from lab.requirement import require
from lab.shipper_process import started

from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.socket_place import SocketPlace
from moesifasgi.unix_socket import answers, connected, listening

MODE = 0o600


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

"""Unix sockets by path: short and long ones, stale ones, and what must not be replaced."""

import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from moesifasgi.unix_socket import connected, listening


def exchanged(path: Path) -> bytes:
    """What comes through a connection to a listener that is made at ``path``."""
    with closing(listening(path, 0o600)) as listener, closing(connected(path, 1.0)) as client:
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with closing(accepted):
            client.sendall(b"hello")
            return accepted.recv(100)


def test_what_is_said_at_one_end_is_heard_at_the_other(short_dir: Path):
    assert exchanged(short_dir / "s.sock") == b"hello"


@pytest.mark.parametrize("length", [100, 101, 107, 108, 109, 200])
def test_a_path_may_be_longer_than_the_kernel_takes(short_dir: Path, length: int):
    directory = short_dir / ("d" * (length - len(str(short_dir)) - len("//s.sock")))
    directory.mkdir()
    path = directory / "s.sock"
    assert len(str(path)) == length

    assert exchanged(path) == b"hello"
    assert path.is_socket()


def test_the_mode_is_as_asked(short_dir: Path):
    with closing(listening(short_dir / "s.sock", 0o660)):
        assert stat.S_IMODE((short_dir / "s.sock").stat().st_mode) == 0o660


def test_a_stale_socket_is_replaced(short_dir: Path):
    listening(short_dir / "s.sock", 0o600).close()
    with pytest.raises(ConnectionRefusedError):
        connected(short_dir / "s.sock", 1.0)

    assert exchanged(short_dir / "s.sock") == b"hello"


@pytest.mark.parametrize("what", ["file", "directory", "symlink to a socket", "dangling symlink"])
def test_what_is_no_socket_stays(short_dir: Path, what: str):
    path = short_dir / "s.sock"
    if what == "file":
        path.write_text("precious")
    elif what == "directory":
        path.mkdir()
    else:
        path.symlink_to(short_dir / "other.sock")
    with closing(listening(short_dir / "other.sock", 0o600)) if "to a" in what else closing(socket.socket()):
        with pytest.raises(FileExistsError, match=r"s\.sock exists and is not a socket"):
            listening(path, 0o600)
        assert path.is_symlink() or path.exists()


@pytest.mark.parametrize("path", ["missing.sock", "d" * 120 + "/missing.sock"])
def test_nobody_listening_is_an_os_error(short_dir: Path, path: str):
    with pytest.raises(OSError):
        connected(short_dir / path, 1.0)


def test_a_listener_does_not_wait(short_dir: Path):
    with closing(listening(short_dir / "s.sock", 0o600)) as listener, pytest.raises(BlockingIOError):
        listener.accept()

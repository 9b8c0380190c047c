"""Files that somebody else names: none of them makes who opens it wait."""

import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.swapped import swapping

from moesifasgi.shipper.named_file import content_of, opened

pytestmark = pytest.mark.timeout(20)


@contextmanager
def irregular(directory: Path) -> Iterator[dict[str, Path]]:
    """One of each kind, by what a person calls it."""
    pipe, path = directory / "pipe", directory / "socket"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield {"pipe": pipe, "socket": path, "directory": directory, "device": Path("/dev/zero")}


def test_what_is_no_file_is_refused_at_once_and_said(short_dir: Path) -> None:
    with irregular(short_dir) as paths:
        for kind, path in paths.items():
            for flags in (os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT):
                with pytest.raises(OSError, match=f"found a {kind}"):
                    opened(path, flags)
            (short_dir / "link").symlink_to(path)
            with pytest.raises(OSError, match=f"found a {kind}"):
                content_of(short_dir / "link", 100)
            (short_dir / "link").unlink()


def test_a_pipe_that_takes_the_files_name_in_between_is_refused_too(tmp_path: Path) -> None:
    path, file, pipe = (tmp_path / name for name in ("path", "file", "pipe"))
    file.write_text("a file")
    os.mkfifo(pipe)
    found = set()
    with swapping(path, file, pipe):
        for _ in range(5_000):
            try:
                found.add(content_of(path, 100).decode())
            except OSError as error:
                found.add(error.strerror)
    assert found == {"a file", "found a pipe"}


def test_a_lease_on_a_file_holds_up_nobody(tmp_path: Path) -> None:
    """The kernel has whoever opens such a file wait up to 45 s for the lease's holder."""
    path = tmp_path / "file"
    path.write_text("a file")
    with path.open("r+") as held:
        # How the kernel says that the lease is wanted back; the usual signal ends a process.
        fcntl.fcntl(held, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with pytest.raises(BlockingIOError):
            content_of(path, 100)
    assert content_of(path, 100) == b"a file"


def test_a_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError, match="found nothing"):
        content_of(path, 100)
    path.write_bytes(b"x" * 100)
    assert content_of(path, 100) == b"x" * 100
    with pytest.raises(OSError, match="found more than 99 bytes"):
        content_of(path, 99)

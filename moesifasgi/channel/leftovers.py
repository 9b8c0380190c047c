"""What a worker could not hand over, as a file in its state directory, for whoever comes next.

The file is the wire's own byte stream: HELLO, then the frames that nobody acknowledged. It is taken as a
connection of that session would be, so what had arrived from the dying socket is not stored twice.

A worker that lives holds a lock on its file. The kernel lets go of it when the process ends, however it ends:
a file without one has no owner any more.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moesifasgi.channel.own_descriptors import keep, let_go
from moesifasgi.quiet import say
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import Hello

PREFIX, SUFFIX = "left-", ".frames"
DAMAGED_SUFFIX, UNFINISHED_SUFFIX = ".damaged", ".unfinished"
PIECE_BYTES = 1 << 20
"""Most bytes in one write, but for a frame that is larger."""
LOOK_EVERY_BYTES = 1 << 20
"""How far a file grows between two looks at what room there is: by so much the bounds are missed at most."""

SWEPT_S, SWEPT_AGAIN_S = 0.1, 0.001
"""How long, and how often, a new file is begun again while somebody sweeps it away."""


@dataclass(frozen=True, slots=True)
class LeftBounds:
    """What all such files in a directory may take; beyond it what cannot be handed over stays in memory."""

    max_bytes: int = 1 << 30
    """Of all of them together, as SPOOL_MAX_BYTES says."""
    min_free_bytes: int = 256 << 20
    """What they leave free of the disk, as SPOOL_MIN_FREE_BYTES says."""

    def require_room(self, directory: Path, more: int = 0) -> None:
        """OSError where there is none there for so many bytes more."""
        disk = os.statvfs(directory)
        left = sum(map(_size, directory.glob(f"{PREFIX}*")))
        if left + more >= self.max_bytes or disk.f_bavail * disk.f_frsize < self.min_free_bytes + more:
            raise OSError(errno.ENOSPC, "no room for what no shipper takes")


_USUAL = LeftBounds()


def _size(path: Path) -> int:
    """What this file takes; nothing where it has just gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


class LeftFile:
    """A file that its worker still writes to, and holds."""

    def __init__(
        self, directory: Path, hello: Hello, frames: Sequence[bytes], bounds: LeftBounds = _USUAL
    ) -> None:
        """Write it whole, in place of the session's older one, or not at all. OSError if it cannot be."""
        bounds.require_room(directory, sum(map(len, frames)))
        self._directory = directory
        self._bounds = bounds
        self._path = directory / f"{PREFIX}{hello.session.hex()}{SUFFIX}"
        self.bytes = 0
        self._looked_at_bytes = 0
        unfinished = self._path.with_suffix(UNFINISHED_SUFFIX)
        self._descriptor = _begun(unfinished)
        try:
            self.append([frame(encode(hello)), *frames])
            unfinished.rename(self._path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            self.close()
            raise

    @property
    def is_gone(self) -> bool:
        """Somebody has deleted it."""
        return not os.fstat(self._descriptor).st_nlink

    def append(self, frames: Iterable[bytes]) -> None:
        """Add these whole, or nothing. OSError where it cannot be."""
        whole = self.bytes
        try:
            for piece in _pieces(frames):
                whole += len(piece)
                self._look(whole, len(piece))
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self.bytes)
            raise
        self.bytes = whole

    def _look(self, whole: int, more: int) -> None:
        """OSError where it has grown far since the last look, and may grow no more."""
        if whole - self._looked_at_bytes >= LOOK_EVERY_BYTES:
            self._bounds.require_room(self._directory, more)
            self._looked_at_bytes = whole

    def discard(self) -> None:
        """It is needed no more."""
        if not self.is_gone:
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it: it is for whoever comes next. May be called twice."""
        if self._descriptor >= 0:
            let_go(self._descriptor)
            self._descriptor = -1


class Found:
    """A file without an owner, held by who found it."""

    def __init__(self, path: Path, descriptor: int, content: bytes) -> None:
        self._path = path
        self._descriptor = descriptor
        self.content = content

    def whole(self) -> bytes:
        """All of it, where only the beginning was asked for."""
        return _read(self._descriptor, None)

    def taken(self) -> None:
        """All of it is in a spool."""
        self._path.unlink(missing_ok=True)

    def damaged(self, why: Exception) -> None:
        """What stands before the damage is in a spool; the file is kept for people."""
        say("damaged leftovers", "what a worker left behind cannot be read whole: %s", why)
        self._path.rename(self._path.with_suffix(DAMAGED_SUFFIX))


def _begun(path: Path) -> int:
    """A new file, held. ``sweep`` may take it for a dead worker's before it is: then another one."""
    deadline = time.monotonic() + SWEPT_S
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        keep(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            let_go(descriptor)
            if not isinstance(error, BlockingIOError) or time.monotonic() > deadline:
                raise
        else:
            if os.fstat(descriptor).st_nlink:
                return descriptor
            let_go(descriptor)
        time.sleep(SWEPT_AGAIN_S)


def _pieces(frames: Iterable[bytes]) -> Iterator[bytes]:
    gathered: list[bytes] = []
    size = 0
    for framed in frames:
        gathered.append(framed)
        size += len(framed)
        if size >= PIECE_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def leave_behind(directory: Path, hello: Hello, frames: Sequence[bytes], bounds: LeftBounds = _USUAL) -> None:
    """Write the file whole, or not at all, and let go of it. OSError where it cannot be."""
    LeftFile(directory, hello, frames, bounds).close()


def left_in(directory: Path) -> list[Path]:
    """The files there, in a lasting order; their owners may live."""
    return sorted(directory.glob(f"{PREFIX}*{SUFFIX}"))


def sweep(directory: Path) -> None:
    """Delete what a worker had begun to write when it was killed; its frames are in no file."""
    for path in directory.glob(f"{PREFIX}*{UNFINISHED_SUFFIX}"):
        with found_at(path) as found:
            if found is not None:
                found.taken()


def _is_ours(found: os.stat_result) -> bool:
    """A file that is still there."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink > 0


@contextmanager
def found_at(path: Path, most_bytes: int | None = None) -> Iterator[Found | None]:
    """Hold this file and read it, or its beginning; None where its owner lives, or another one has found it.

    What is no regular file of our own user is left alone: a pipe, say, that somebody put there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    keep(descriptor)
    try:
        content = _held_and_read(descriptor, most_bytes)
        yield None if content is None else Found(path, descriptor, content)
    finally:
        let_go(descriptor)


def _held_and_read(descriptor: int, most_bytes: int | None) -> bytes | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _read(descriptor, most_bytes) if _is_ours(os.fstat(descriptor)) else None
    except OSError:
        return None


def _read(descriptor: int, most_bytes: int | None) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read(most_bytes)

"""Who has the places already that a shipper would have: who serves its socket, and who owns its spool."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from moesifasgi.shipper.spool import SpoolError
from moesifasgi.shipper.spool.owner import owner_of
from moesifasgi.shipper.tool import ANSWERS_IN_S, NoShipper, ask_status
from moesifasgi.unix_socket import file_of

_LISTENS = 0x10000
"""A flag in /proc/net/unix."""
_ASKED_S = 0.5


class Server(NamedTuple):
    """Who serves the socket, by its own word."""

    pid: int | None = None
    """None: nobody answers; ``fault`` says what was found."""
    metrics: str | None = None
    fault: str = ""

    @classmethod
    def at(cls, path: Path, timeout_s: float = ANSWERS_IN_S) -> Self:
        try:
            status = ask_status(path, timeout_s)
        except NoShipper as error:
            return cls(fault=str(error))
        return cls(status["pid"], status.get("metrics"))


class Owner(NamedTuple):
    """Who owns the spool, by what it wrote there."""

    pid: str | None = None
    """None: nobody does, or ``fault`` says why that cannot be told."""
    fault: str = ""

    @classmethod
    def of(cls, directory: Path) -> Self:
        try:
            return cls(owner_of(directory))
        except SpoolError as error:
            return cls(fault=str(error))

    def serves(self, server: Server) -> bool:
        """Whether it is the shipper that this configuration is about."""
        return server.pid is not None and self.pid == str(server.pid)

    def serves_instead_of(self, socket: Path) -> Path | None:
        """The other socket that it serves. None: it serves this one, or none any more, or nobody can tell."""
        if self.pid is None or socket in (paths := list(_listened_at(self.pid))):
            return None
        others = (path for path in paths if file_of(path) != file_of(socket))
        return next((path for path in others if self.serves(Server.at(path, _ASKED_S))), None)


def _listened_at(pid: str) -> Iterator[Path]:
    """The Unix sockets of that process with a place in the file system; none where we may not look."""
    with suppress(OSError):
        opened = set(_opened_by(pid))
        for line in Path("/proc/net/unix").read_text("utf-8", "surrogateescape").splitlines()[1:]:
            _, _, _, flags, _, _, inode, *path = line.split(maxsplit=7)
            if f"socket:[{inode}]" in opened and int(flags, 16) & _LISTENS and path[0].startswith("/"):
                yield Path(path[0])


def _opened_by(pid: str) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # Closed meanwhile.
            yield str(descriptor.readlink())

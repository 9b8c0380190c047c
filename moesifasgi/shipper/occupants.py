"""Who has the places already that a shipper would have: who serves its socket, and who owns its spool."""

from pathlib import Path
from typing import NamedTuple, Self

from moesifasgi.shipper.spool import SpoolError
from moesifasgi.shipper.spool.owner import owner_of
from moesifasgi.shipper.tool import NoShipper, ask_status


class Server(NamedTuple):
    """Who serves the socket, by its own word."""

    pid: int | None = None
    """None: nobody answers; ``fault`` says what was found."""
    metrics: str | None = None
    fault: str = ""

    @classmethod
    def at(cls, path: Path) -> Self:
        try:
            status = ask_status(path)
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

"""The name that workers find a shipper by: a socket in the file system, which others can delete or replace.

What is gone, or is of nobody who listens, is made again. Where somebody else listens by now there is no
fight: two who replace each other's sockets would lose connections for ever. It is told instead, since whoever
connects from then on does not come here; those that are connected go on.
"""

import socket
from pathlib import Path

from moesifasgi.quiet import say
from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.unix_socket import (
    file_of,
    is_deserted,
    listener_at,
    listener_of,
    listening,
    open_to,
    refuse_place,
)

_ASTRAY = (-1, -1)
"""No file: the service manager's socket was deleted or replaced before this shipper came."""


class SocketPlace:
    """One path, for a shipper's whole life."""

    def __init__(self, path: Path, inherited: socket.socket | None) -> None:
        """``inherited``: what the service manager listens with; then it is not ours to make or delete."""
        self._path = path
        self._inherited = inherited
        self._file: tuple[int, int] | None = None
        self._fault: str | None = None

    def listener(self, mode: int, group: int | None) -> socket.socket:
        """The socket to accept from. OSError where there can be none."""
        if self._inherited is not None:
            self._file = self._file_of_inherited(self._inherited)
            return self._inherited
        made = listening(self._path, mode, group)
        self._file = file_of(self._path)
        return made

    @property
    def reasons(self) -> list[Reason]:
        """Why workers do not find this shipper; empty if they do."""
        return [] if self._fault is None else [Reason(self._fault, Advice.SOCKET)]

    def look(self, mode: int, group: int | None) -> socket.socket | None:
        """Whether all is as it was; returns another listener where the socket had to be made again."""
        found = file_of(self._path)
        if self._inherited is not None and self._file == _ASTRAY:
            self._file = self._file_of_inherited(self._inherited)
        if found == self._file or (self._inherited is not None and self._file is None):
            self._fault = None
            return None
        if self._inherited is not None:
            self._tell(f"the socket {self._path} is not the service manager's any more")
        elif found is not None and self._is_somebodys():
            self._tell(f"{self._path} is another socket, of user id {_owner(self._path)}")
        else:
            return self._made_again(mode, group)
        return None

    def open_to(self, mode: int, group: int | None) -> None:
        """From now on these may reach it."""
        if self._inherited is None and self._is_ours():
            try:
                open_to(self._path, mode, group)
            except OSError as error:
                say("socket's mode", "cannot set the socket's mode and group: %s", error)

    def leave(self) -> None:
        """Under this name another shipper may listen by now; else it goes."""
        if self._inherited is None and self._is_ours():
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                # The rest of leaving counts for more: what is not stored yet would be lost.
                say("socket stays", "the socket %s cannot be deleted: %s", self._path, error.strerror)

    def _is_ours(self) -> bool:
        return self._file is not None and file_of(self._path) == self._file

    def _file_of_inherited(self, inherited: socket.socket) -> tuple[int, int] | None:
        """What to find there as long as all is well; None: the service manager listens elsewhere."""
        found = file_of(self._path)
        if inherited.getsockname() != str(self._path):
            return found
        if found is None or not self._is_somebodys():
            return _ASTRAY
        # Of whom we may not ask nothing is known, and nothing said.
        return found if listener_of(self._path, 0.0) in (None, listener_at(inherited)) else _ASTRAY

    def _is_somebodys(self) -> bool:
        """A socket, and not a deserted one."""
        try:
            refuse_place(self._path)
        except OSError:
            return False
        return not is_deserted(self._path)

    def _made_again(self, mode: int, group: int | None) -> socket.socket | None:
        try:
            made = self.listener(mode, group)
        except OSError as error:
            self._tell(
                f"the socket {self._path} is gone, and cannot be made again: {error.strerror or error}"
            )
            return None
        self._fault = None
        say("socket made", "the socket was gone, and is made again")
        return made

    def _tell(self, fault: str) -> None:
        self._fault = fault
        say("socket", "%s: workers that connect do not come here", fault)


def _owner(path: Path) -> str:
    try:
        return str(path.lstat().st_uid)
    except OSError:
        return "unknown"

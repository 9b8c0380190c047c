"""Whether those who are allowed to send can reach the socket, by its mode and by those of its directories.

Of a person's group nothing but that is known: who has other groups beside it may be let in by one of those.
"""

import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from moesifasgi.shipper.configuration.values import Configuration
from moesifasgi.shipper.receiver.admission import ROOT

TO_PASS = 0o1
"""The right to go through a directory."""
TO_CONNECT = 0o2
"""The right to write to a socket."""


class Caller(NamedTuple):
    """A user with their groups, or whoever is a member of a group."""

    name: str
    uid: int | None
    gids: frozenset[int]


class Door(NamedTuple):
    """A directory or a socket, with the right that it takes to pass it."""

    path: Path
    mode: int
    uid: int
    gid: int
    right: int

    @classmethod
    def found(cls, path: Path, right: int) -> Self:
        found = path.stat()
        return cls(path, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, right)

    def is_open_to(self, caller: Caller) -> bool:
        """As the kernel has it: only the first of owner, group and others that fits counts."""
        if caller.uid == ROOT:
            return True
        shift = 6 if caller.uid == self.uid else 3 if self.gid in caller.gids else 0
        return bool(self.mode >> shift & self.right)


def unreached(configuration: Configuration, *, serves: bool, is_managers: bool) -> Iterator[str]:
    """Who is allowed and would not get to the socket, a line for each thing that keeps them out.

    ``serves``: the socket is this shipper's already. ``is_managers``: the service manager has made it, as its
    own unit says.
    """
    path = Path(configuration.socket)
    callers = [*map(_user, configuration.allowed_users), *map(_group, configuration.allowed_groups)]
    directories = _directories(path)
    if is_managers:
        yield from _shut([*directories, Door.found(path, TO_CONNECT)], callers, "see the .socket unit")
        return
    hint = "expected a socket_mode and socket_group that let them in (systemd's unit has its own)"
    told = list(_shut([*directories, _to_be(configuration, directories[-1])], callers, hint))
    if serves and not told:
        hint = "as long as the configuration is not reloaded"
        told = list(_shut([Door.found(path, TO_CONNECT)], callers, hint))
    yield from told


def _user(uid: int) -> Caller:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Caller(f"user id {uid}", uid, frozenset())
    return Caller(f"user id {uid}", uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def _group(gid: int) -> Caller:
    return Caller(f"members of group id {gid}", None, frozenset({gid}))


def _directories(path: Path) -> list[Door]:
    """Those on the way that are there; the socket's own is made, if need be, so that everybody can pass."""
    last = path.parent.resolve()
    return [Door.found(each, TO_PASS) for each in (*reversed(last.parents), last) if each.exists()]


def _to_be(configuration: Configuration, directory: Door) -> Door:
    """The socket as the shipper will make it in there, or open it at a reload."""
    gid = configuration.socket_group
    if gid is None:
        gid = directory.gid if directory.mode & stat.S_ISGID else os.getegid()
    return Door(Path(configuration.socket), configuration.socket_mode, os.geteuid(), gid, TO_CONNECT)


def _shut(doors: Sequence[Door], callers: Sequence[Caller], hint: str) -> Iterator[str]:
    """The first door of each caller that is shut to them; the hint is for that of the socket."""
    kept_out: dict[Door, list[str]] = {}
    for caller in callers:
        if (door := next((each for each in doors if not each.is_open_to(caller)), None)) is not None:
            kept_out.setdefault(door, []).append(caller.name)
    for door, names in kept_out.items():
        text = f"{door.path} (mode {door.mode:04o}, group id {door.gid}) keeps out {', '.join(names)}"
        yield f"{text}, though allowed; " + (hint if door.right == TO_CONNECT else "they may not pass it")

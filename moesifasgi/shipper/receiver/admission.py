"""Who may speak to this shipper, by the kernel's word about the process that connected. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

ROOT = 0


class Credentials(NamedTuple):
    """Who is at the other end (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Admission:
    """``uids`` and ``gids`` may send events and ask for status, as may ``masters``.

    Only these may read what was spooled, and tell the shipper to leave: root, and the shipper's own user.
    """

    masters: frozenset[int]
    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()

    def is_master(self, peer: Credentials) -> bool:
        return peer.uid in self.masters

    def refusal(self, peer: Credentials, groups: Iterable[int]) -> str | None:
        """Why this peer may not speak; None if it may. ``groups`` are its supplementary ones."""
        if self.is_master(peer) or peer.uid in self.uids:
            return None
        if not self.gids.isdisjoint((peer.gid, *groups)):
            return None
        return f"user id {peer.uid} is not allowed to send to this shipper"

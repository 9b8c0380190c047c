"""The worker's end of the wire: one Channel per process and shipper, shared by all middlewares in it.

``offer`` is all that a request touches: it never waits, never raises. Connecting, reading acknowledgements,
sending a backlog and starting a shipper happen on a thread of the channel's own, which begins with the first
use, so that importing and constructing do nothing and a server may fork in between.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from moesifasgi.channel.leftovers import LeftBounds
from moesifasgi.counters import Counters
from moesifasgi.wire.application import Application
from moesifasgi.wire.ring import Offer


@dataclass(frozen=True, slots=True)
class Drained:
    """How a drain ended: ``delivered``, or what is left and why."""

    delivered: bool
    reason: str = ""


class Channel(Protocol):
    """Where frames go. All methods may be called from any thread."""

    @property
    def counters(self) -> Counters:
        """This process's counters, for all who use the channel; a forked child counts from zero."""

    def register(self, application: Application) -> int:
        """Make an application known; returns the key its frames carry."""

    def offer(self, kind: int, key: int, payload: bytes) -> Offer:
        """Hand over one packed object. Never waits, never raises."""

    def start(self) -> None:
        """Begin connecting, without waiting for it."""

    def drain(self, timeout_s: float, *, give_up: bool) -> Drained:
        """Wait until all that was offered is delivered, or it is known that it will not be soon.

        ``give_up``: a worker that leaves takes "it is safe in the spool" for an answer, and does not wait
        for a shipper that cannot be had.
        """

    def watch(self, key: int, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Have the listener called with each new policy document of an application.

        On the channel's thread; for a document that is here already, at once and on the caller's. A forked
        child keeps its parent's listeners. What a listener raises is contained.
        """

    def report(self, key: int, lines: Sequence[str]) -> None:
        """Have ``moesif-shipper status`` show these lines for an application, in place of those before.

        At most 20 lines of 200 characters; what is more is cut off.
        """

    def stats(self) -> dict[str, int]:
        """Counters of this process: what was accepted, acknowledged, refused, and is in the ring."""

    def close(self) -> None:
        """Say goodbye and let go of the connection. May be called twice; a later offer begins anew."""


class Dialer(Protocol):
    """How to reach a shipper. Called on the carrier's thread; may take its time, and start one."""

    @property
    def starting(self) -> bool:
        """A shipper is being started right now: worth waiting for."""

    @property
    def directory(self) -> Path | None:
        """Where a worker may leave behind what nobody took; None where nobody would look for it.

        Made if need be; OSError where none can be had.
        """

    @property
    def left_bounds(self) -> LeftBounds:
        """What such files may take there."""

    def heritage(self) -> list[Path]:
        """What dead workers left behind where the shipper that answered last does not look."""

    def again(self) -> socket.socket:
        """One more connection to the shipper that answered last; any thread may ask. Starts none."""

    def __call__(self) -> socket.socket:
        """A connected stream socket; OSError if there is none (yet)."""

    def supersede(self) -> None:
        """The shipper that answered last is an older version's: see to it that ours takes its place.

        Nothing is done where shippers are started by others.
        """

    def leave_off(self) -> None:
        """Nobody waits for a shipper any more: let go of a start under way, which goes on by itself."""

    def abandon(self) -> None:
        """In a forked child: let go of what only the parent may hold."""

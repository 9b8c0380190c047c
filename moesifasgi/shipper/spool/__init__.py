"""The durable FIFO between intake and delivery: what both loops know of it.

Constraints: intake must never wait for delivery; a crash of any process at any instant must lose nothing
that was acknowledged and store nothing twice; cost must not grow with the backlog.

Layout: intake appends Chunks: frames of one lane and one session, as they came. A chunk is one row, so a
burst costs one insert, and its order is its row id. Delivery reads whole chunks (``peek``), and tells the
fate of all of a chunk's items at once (``settle``), in one transaction with the counters; only that removes a
row. Both identities of conservation follow: taken = delivered + spooled + dead-lettered + dropped.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from moesifasgi.wire.application import Application

_ITEM = struct.Struct(">BI")
LAST_ROW = 2**63 - 1
"""The largest number that a row may have."""
ANY_SIZE = 2**63 - 1


class Lane(NamedTuple):
    """What is delivered to one endpoint of one application, in order."""

    application_id: str
    stream: str
    """``events``, ``users``, ``companies``, ``subscriptions`` or ``actions``."""


class Item(NamedTuple):
    """One frame's content, as the worker packed it."""

    kind: int
    payload: bytes


def pack_items(items: Iterable[Item]) -> bytes:
    """Items as a chunk's body: kind (u8), length (u32), payload, each."""
    return b"".join(part for kind, payload in items for part in (_ITEM.pack(kind, len(payload)), payload))


def unpack_items(body: bytes) -> Iterator[Item]:
    """The items of a chunk's body. ValueError where the body ends inside an item."""
    offset = 0
    while offset < len(body):
        if offset + _ITEM.size > len(body):
            raise ValueError("the chunk ends inside an item's header")
        kind, length = _ITEM.unpack_from(body, offset)
        offset += _ITEM.size
        if offset + length > len(body):
            raise ValueError("the chunk ends inside an item")
        yield Item(kind, body[offset : offset + length])
        offset += length


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames of one lane and one session, to be appended."""

    lane: Lane
    session: bytes
    sequences: tuple[int, ...]
    """The sequence of each item, ascending; gaps are normal (other lanes' frames)."""
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as delivery reads it back."""

    row: int
    """Position in the FIFO; ascending."""
    session: bytes
    sequences: tuple[int, ...]
    items: tuple[Item, ...]
    appended_at: float
    """Wall clock of the append, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that the collector refused for good."""

    session: bytes
    sequence: int
    kind: int
    payload: bytes
    code: str
    """What refused it: an HTTP status, or ``unserialisable``, ``too_large``, ``expired``."""
    reason: str


LetterKey = tuple[bytes, int]
"""Session and sequence: which dead letter."""


@dataclass(frozen=True, slots=True)
class KeptDeadLetter:
    """A dead letter with whose it is and when it was refused (seconds since the epoch)."""

    letter: DeadLetter
    lane: Lane
    refused_at: float
    number: int
    """Its place among those that are kept; ascending."""

    @property
    def key(self) -> LetterKey:
        return self.letter.session, self.letter.sequence


@dataclass(frozen=True, slots=True)
class Settlement:
    """The fate of all items of one chunk: delivered + dead letters + dropped = its items."""

    row: int
    delivered: int
    dead_letters: tuple[DeadLetter, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    """reason → items"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a spool may hold, in bytes."""

    max_bytes: int = 1 << 30
    """Of the compressed bodies."""
    min_free_bytes: int = 256 << 20
    """What the file system keeps free."""
    quotas: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Of single applications, by their ids."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """A spool file that could not be used any more, and what became of the items in it."""

    what: str
    """What happened to it, as one says it of the spool."""
    file: str
    """Under which name it is kept beside the spool; empty: it is not."""
    saved: int
    lost: int | None
    """None: nobody knows."""
    waiting: int = 0
    """Items that were left to be read of it later, for want of room or time."""

    def __str__(self) -> str:
        lost = "nobody knows how many were" if self.lost is None else str(self.lost)
        waiting = f", {self.waiting} will be read later" if self.waiting else ""
        kept = f"; the damaged file is {self.file}" if self.file else ""
        return f"the spool {self.what}: {self.saved} events of it were saved, {lost} lost{waiting}{kept}"


@dataclass(frozen=True, slots=True)
class Usage:
    """The spool at one moment. All ages in seconds, sizes in bytes."""

    events: int
    bytes: int
    max_bytes: int
    oldest_age_s: float | None
    """None also where it cannot be read."""
    dead_letters: int
    fault: str = ""
    """Why the file cannot be read now; the other numbers hold all the same."""
    mishaps: tuple[Mishap, ...] = ()
    """Since the start, at most the last ten."""
    waiting: int = 0
    """Of the events: those that are still to be read of damaged files, for want of room or time until now."""
    damaged: int = 0
    """Items that were dropped since the start because their row was damaged, in a file that is used on."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The shipper's counters since the spool was made.

    taken = delivered + spooled + dead_lettered + Σ dropped. A dead letter that a person retries or discards
    has that fate instead of its first one.

    ``duplicates`` (frames seen again and discarded) and ``gaps`` stand outside the identity.
    """

    taken: int
    delivered: int
    dead_lettered: int
    duplicates: int
    gaps: int
    dropped: Mapping[str, int]


class SpoolError(Exception):
    """The spool cannot do what was asked now (full disk, I/O error, damaged). Nothing was changed."""


class SpoolInUse(SpoolError):
    """Another shipper owns this spool."""


class Spool(Protocol):
    """One owner process. Appends and sessions are for the intake thread; the rest, for any other."""

    durable: bool

    def append(
        self, chunks: Sequence[Chunk], sessions: Mapping[bytes, int], *, duplicates: int = 0, gaps: int = 0
    ) -> int:
        """Store all chunks and each session's last sequence in one transaction; returns items dropped.

        Items for which there is no room are dropped as ``spool_full`` and counted, and their sequence is
        stored all the same: the shipper has taken responsibility. SpoolError: nothing was stored at all.
        """

    def last_sequence(self, session: bytes) -> int | None:
        """The last sequence of a session that is stored; None for an unknown one."""

    def end_session(self, session: bytes) -> None:
        """The worker said BYE: its row can go."""

    def forget_sessions(self, older_than_s: float, keep: frozenset[bytes]) -> int:
        """Remove session rows not touched for so long, except those kept; returns how many."""

    def remember(self, application: Application) -> None:
        """Keep an application's settings, so that its backlog can be delivered after a restart."""

    def applications(self) -> list[Application]:
        """All remembered applications."""

    def remember_policy(self, application_id: str, policy: bytes) -> None:
        """Keep what the dashboard decided, so that a restart enforces it at once."""

    def policies(self) -> dict[str, bytes]:
        """All remembered policies, by application; a damaged one is left out."""

    def forget(self, application_id: str) -> None:
        """An application that holds nothing here: its settings and its policy can go."""

    def lanes(self) -> list[Lane]:
        """Lanes that have chunks."""

    def newest_row(self) -> int:
        """The newest row that was ever appended, of any lane; 0 for none."""

    def peek(
        self, lane: Lane, after: int, max_items: int, upto: int = LAST_ROW, max_bytes: int = ANY_SIZE
    ) -> list[StoredChunk]:
        """Chunks of a lane in order, after row ``after`` (0: from the start), until they reach a limit.

        Bytes are those of unpacked bodies. None of a row behind ``upto``. At least one chunk if there is one.
        A chunk whose checksum is wrong is settled as dropped (``damaged``) and skipped.
        """

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Remove the rows and count their items' fates, in one transaction. Unknown rows are ignored."""

    def dead_letters(self, limit: int, after: int = 0) -> list[KeptDeadLetter]:
        """The oldest dead letters with a larger number, at most ``limit``; a damaged one is left out."""

    def dead_letter(self, key: LetterKey) -> KeptDeadLetter | None:
        """One of them, if it is kept."""

    def retry_dead_letters(self, keys: Sequence[LetterKey]) -> int:
        """Put these back, as they came but behind all others; returns how many there were.

        For the intake thread. SpoolError: there is no room, nothing was changed.
        """

    def discard_dead_letters(self, keys: Sequence[LetterKey]) -> int:
        """Drop these as ``discarded``; returns how many there were."""

    def limit(self, limits: Limits) -> None:
        """From now on these hold; what is stored already stays. For the intake thread."""

    def usage(self) -> Usage: ...

    def totals(self) -> Totals: ...

    def look_after(self) -> bool:
        """From time to time, on the intake thread: see to what others did to the files, and to what waits.

        True: something was appended. SpoolError: appends may be refused until it succeeds.
        """

    def close(self) -> None:
        """Release the file. May be called twice."""

"""Intake: frames of all peers → chunks → spool → acknowledgements.

No socket and no thread in here: the receiver feeds it, and tells the peers what ``commit`` returns. Frames
are gathered for a few milliseconds and stored in one transaction with their sessions' sequences, so that a
frame is either stored once or not at all, whatever is killed when.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from moesifasgi.shipper.registry import Registry, Unwelcome
from moesifasgi.shipper.spool import Chunk, Item, Lane, Spool
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import MAX_KEY
from moesifasgi.wire.messages import SESSION_BYTES, Event, Hello, Kind

COMMIT_BYTES = 512 * 1024
"""Commit as soon as so much waits: about one read of every peer of a busy server."""
COMMIT_AFTER_S = 0.02
"""Commit as soon as something has waited so long; when workers hear of it, ``receiver.acks`` decides."""
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""While the spool refuses, peers are not read beyond this; their rings hold the rest."""
MAX_BASE = 1 << 62
"""A session may begin no higher: its sequences have to fit the spool's signed 64 bits for good."""
CHUNK_ITEMS = 230
"""Most items in one row: what delivery has to read, and a damaged row can cost, at once."""

STREAMS: dict[int, str] = {
    Kind.RECORD: "events",
    Kind.EVENT: "events",
    Kind.USER: "users",
    Kind.COMPANY: "companies",
    Kind.SUBSCRIPTION: "subscriptions",
    Kind.ACTION: "actions",
}


class ProtocolError(Exception):
    """The peer does not keep to the wire; the text says what was expected. It is dropped, and may return."""


@dataclass(slots=True)
class Session:
    """One worker process's life, as intake knows it."""

    id: bytes
    pid: int
    applications: tuple[Application, ...]
    last: int
    """The last sequence taken, stored or waiting for the next commit."""


@dataclass(slots=True)
class _Waiting:
    """What the next commit will store."""

    items: dict[tuple[Lane, bytes], list[tuple[int, Item]]] = field(default_factory=dict)
    sessions: dict[bytes, int] = field(default_factory=dict)
    size: int = 0
    """Payload bytes together."""
    since: float | None = None
    duplicates: int = 0
    gaps: int = 0

    def forget(self, session: bytes) -> None:
        """Drop what waits of one session."""
        self.sessions.pop(session, None)
        for key in [key for key in self.items if key[1] == session]:
            self.size -= sum(len(item.payload) for _, item in self.items.pop(key))


class Intake:
    """See the module. Used by one thread."""

    def __init__(self, spool: Spool, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._spool = spool
        self._registry = registry
        self._clock = clock
        self._waiting = _Waiting()
        self.dropped_at: float | None = None
        """When a commit last had no room for something, which was dropped and counted; monotonic seconds."""

    @property
    def full(self) -> bool:
        """The spool has refused for so long that nothing more may be read."""
        return self._waiting.size >= MAX_WAITING_BYTES

    @property
    def waiting_frames(self) -> int:
        """How many frames the next commit will store."""
        return sum(map(len, self._waiting.items.values()))

    def due_in_s(self) -> float | None:
        """Seconds until the next commit; None while nothing waits."""
        waiting = self._waiting
        if waiting.since is None:
            return None
        if waiting.size >= COMMIT_BYTES:
            return 0.0
        return max(0.0, waiting.since + COMMIT_AFTER_S - self._clock())

    def greet(self, hello: Hello) -> Session:
        """A worker introduces itself; its session's ``last`` is what WELCOME answers.

        The worker still has what this session's older connection brought and no commit has stored: that is
        dropped here, and sent again.

        ProtocolError or ValueError where what it says cannot be; Unwelcome where it is not served, for now or
        at all; SpoolError where the spool cannot be read.
        """
        if len(hello.session) != SESSION_BYTES or not 1 <= hello.base <= MAX_BASE:
            raise ProtocolError(f"expected a session of {SESSION_BYTES} bytes and a base in 1 to {MAX_BASE}")
        if len(hello.applications) > MAX_KEY + 1:
            raise ProtocolError(f"expected at most {MAX_KEY + 1} applications")
        applications = tuple(Application.from_wire(wire) for wire in hello.applications)
        if (refusal := self._registry.refusal(applications)) is not None:
            raise Unwelcome(refusal)
        for application in applications:
            self._registry.learn(application, bequeathed=hello.bequeathed)
        self._waiting.forget(hello.session)
        known = self._spool.last_sequence(hello.session)
        last = hello.base - 1
        if known is not None:
            # Behind the base: an older spool was put back; what it lacks was acknowledged by its successor.
            self._waiting.gaps += max(0, last - known)
            last = max(known, last)
        return Session(hello.session, hello.pid, applications, last)

    def serves(self, session: Session | None) -> bool:
        """Whether a session that was greeted would be so today."""
        return session is None or self._registry.refusal(session.applications) is None

    def take(self, session: Session, event: Event) -> None:
        """One frame. Seen before: counted and forgotten. ProtocolError: nothing of it was taken."""
        if event.sequence <= session.last:
            self._waiting.duplicates += 1
            return
        if event.sequence != session.last + 1:
            raise ProtocolError(f"expected sequence {session.last + 1}, got {event.sequence}")
        if event.key >= len(session.applications):
            raise ProtocolError(f"expected an application key below {len(session.applications)}")
        stream = STREAMS.get(event.kind)
        if stream is None:
            raise ProtocolError(f"unknown kind of event: {event.kind}")
        lane = Lane(session.applications[event.key].application_id, stream)
        self._keep(session, lane, event)

    def commit(self) -> dict[bytes, int]:
        """Store what waits; returns each session's acknowledged sequence.

        SpoolError: nothing was stored, all of it still waits.
        """
        waiting = self._waiting
        if waiting.since is None and not waiting.duplicates and not waiting.gaps:
            return {}
        dropped = self._spool.append(
            _chunks(waiting), waiting.sessions, duplicates=waiting.duplicates, gaps=waiting.gaps
        )
        if dropped:
            self.dropped_at = self._clock()
        self._waiting = _Waiting()
        return waiting.sessions

    def last_of(self, session: Session) -> int:
        """The last sequence that was taken of a session, by whatever way. SpoolError."""
        return max(session.last, self._spool.last_sequence(session.id) or 0)

    def end(self, session: Session, final_sequence: int) -> None:
        """The worker said BYE. Its row goes, unless it left frames that never came."""
        if final_sequence == session.last:
            self._spool.end_session(session.id)

    def _keep(self, session: Session, lane: Lane, event: Event) -> None:
        waiting = self._waiting
        waiting.items.setdefault((lane, session.id), []).append(
            (event.sequence, Item(event.kind, event.payload))
        )
        waiting.sessions[session.id] = session.last = event.sequence
        waiting.size += len(event.payload)
        if waiting.since is None:
            waiting.since = self._clock()


def _chunks(waiting: _Waiting) -> list[Chunk]:
    chunks = []
    for (lane, session), numbered in waiting.items.items():
        for start in range(0, len(numbered), CHUNK_ITEMS):
            sequences, items = zip(*numbered[start : start + CHUNK_ITEMS], strict=True)
            chunks.append(Chunk(lane, session, sequences, items))
    return chunks

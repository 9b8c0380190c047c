"""The receiver's loop over a listening Unix socket: accept, read, take, commit, acknowledge. One thread.

The order within a step is what makes an acknowledgement true: all that can be read is read, what waits is
stored in one transaction, and only then are sequences acknowledged.
"""

import logging
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from moesifasgi.quiet import say
from moesifasgi.shipper.intake import Intake, ProtocolError
from moesifasgi.shipper.receiver.acks import OwedAcks
from moesifasgi.shipper.receiver.peer import Peer
from moesifasgi.shipper.spool import SpoolError
from moesifasgi.version import VERSION
from moesifasgi.wakeup import Wakeup
from moesifasgi.wire.messages import (
    OLDEST_WIRE_VERSION,
    WIRE_VERSION,
    Ack,
    Bye,
    Drain,
    Drained,
    Event,
    Hello,
    Message,
    Refused,
    Stats,
    StatusReply,
    StatusRequest,
    Welcome,
)

NAP_S = 0.004
"""Pause after a round that read something; a busy worker writes 20 frames meanwhile, the kernel holds 90."""
MAX_PEERS = 1024
MAX_DRAINS = 64
"""Drains of one peer that wait for their answer at once."""
INTRODUCTION_S = 10.0
"""A peer that has said neither HELLO nor asked anything by then is dropped."""
TOOL_IDLE_S = 60.0
"""So long may a tool stay connected without waiting for a drain."""
COMMIT_RETRY_S = 0.5
SIGN_OF_LIFE_S = 0.25
"""How often a peer that waits for a drain hears an acknowledgement again: a busy shipper is no dead one."""


class Desk(Protocol):
    """What the receiver asks of the rest of the shipper. Called on its thread; must not wait."""

    def appended(self) -> None:
        """Something new is in the spool."""

    def drain(
        self, *, give_up: bool, application_ids: frozenset[str] | None, on_done: Callable[[bool, str], None]
    ) -> None:
        """Deliver now what is in the spool of these applications (None: of all).

        ``on_done(delivered, reason)`` is called from any thread.
        """

    def status(self) -> dict[str, Any]:
        """The status document, but for what the receiver knows."""


class Receiver:
    """See the module. ``step`` runs it once; ``post`` is all that other threads may call."""

    def __init__(
        self, listener: socket.socket, intake: Intake, desk: Desk, allowed_uids: frozenset[int]
    ) -> None:
        self.malformed = 0
        self.refused = 0
        self._listener: socket.socket | None = listener
        self._intake = intake
        self._desk = desk
        self._allowed_uids = allowed_uids
        self._peers: set[Peer] = set()
        self._by_session: dict[bytes, Peer] = {}
        self._posted: deque[Callable[[], None]] = deque()
        self._owed = OwedAcks()
        self._commit_at: float | None = None
        self._paused = False
        self.wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self.wakeup, selectors.EVENT_READ, self.wakeup.clear)

    @property
    def workers(self) -> list[Peer]:
        """Peers that have introduced themselves as workers."""
        return list(self._by_session.values())

    def post(self, task: Callable[[], None]) -> None:
        """Run ``task`` on the receiver's thread, soon."""
        self._posted.append(task)
        self.wakeup.set()

    def step(self, longest_wait_s: float) -> bool:
        """One round; True if any peer had something to read."""
        progress = False
        for key, ready in self._selector.select(self._wait_s(longest_wait_s)):
            if isinstance(key.data, Peer):
                progress |= self._serve(key.data, ready)
            else:
                key.data()
        while self._posted:
            self._posted.popleft()()
        if self._intake.full:
            self._pause(True)  # Until a commit succeeds.
        if self._intake.due_in_s() == 0.0 and self._may_commit():
            self.commit()
        if self._owed.due_in_s(time.monotonic()) == 0.0:
            self.acknowledge()
        self._look_after_peers()
        if progress:
            # Frames come one by one: gathering a few spares each of their workers a wake-up of this process.
            time.sleep(NAP_S)
        return progress

    def commit(self) -> bool:
        """Store what waits and acknowledge it; False if the spool refuses for now."""
        frames = self._intake.waiting_frames
        try:
            stored = self._intake.commit()
        except SpoolError as error:
            say("spool refuses", "the spool cannot store events for now: %s", error)
            self._commit_at = time.monotonic() + COMMIT_RETRY_S
            return False
        self._commit_at = None
        self._pause(False)
        if stored:
            self._owed.add(stored, frames, time.monotonic())
            self._desk.appended()
        return True

    def acknowledge(self) -> None:
        """Tell every worker what is stored of its session."""
        for session, sequence in self._owed.settle().items():
            if (peer := self._by_session.get(session)) is not None:
                peer.tell(Ack(sequence))
                self._watch(peer)

    def stop_accepting(self) -> None:
        """No new peers; those that are here go on."""
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def read_out(self, deadline: float) -> None:
        """Read what has been sent, store and acknowledge it: the first half of leaving."""
        while self.step(0.0) and time.monotonic() < deadline:
            pass
        self.commit()
        self.acknowledge()

    def close(self) -> None:
        self.stop_accepting()
        for peer in list(self._peers):
            self._drop(peer)
        self._selector.close()
        self.wakeup.close()

    def _wait_s(self, longest_s: float) -> float:
        now = time.monotonic()
        waits = [longest_s]
        if (due_s := self._intake.due_in_s()) is not None:
            waits.append(max(due_s, (self._commit_at or now) - now))
        if (due_s := self._owed.due_in_s(now)) is not None:
            waits.append(due_s)
        return max(0.0, min(waits))

    def _may_commit(self) -> bool:
        return self._commit_at is None or time.monotonic() >= self._commit_at

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connected, _ = self._listener.accept()
        except OSError as error:
            say("accept", "could not accept a connection: %s", error)
            return
        peer = Peer(connected, time.monotonic())
        if (why := self._unwelcome(peer)) is not None:
            self.refused += 1
            peer.tell(Refused(why))
            peer.close()
            return
        self._peers.add(peer)
        self._watch(peer)

    def _unwelcome(self, peer: Peer) -> str | None:
        uid = peer.credentials().uid
        if uid not in self._allowed_uids:
            say("uid refused", "refused a peer of user id %d, which is not allowed to send", uid)
            return f"user id {uid} is not allowed to send to this shipper"
        if len(self._peers) >= MAX_PEERS:
            say("too many peers", "refused a peer: %d are connected", MAX_PEERS)
            return f"more than {MAX_PEERS} connections"
        return None

    def _serve(self, peer: Peer, ready: int) -> bool:
        if peer not in self._peers:
            return False  # Dropped in this very round, by a newer connection of its session.
        if ready & selectors.EVENT_WRITE:
            peer.flush()
            self._watch(peer)
        if not ready & selectors.EVENT_READ:
            return False
        alive = peer.read()
        try:
            while peer in self._peers and not peer.overdue and (message := peer.next_message()) is not None:
                self._hear(peer, message)
        except (ValueError, ProtocolError) as error:
            self.malformed += 1
            say("malformed", "dropped a peer that does not keep to the wire: %s", error)
            alive = False
        except SpoolError as error:
            say("spool refuses", "the spool cannot be used for now: %s", error)
            alive = False
        except Exception as error:  # noqa: BLE001  (one peer must not end the service of all; it comes again)
            say("fault", "dropped a peer after a fault in serving it: %r", error, level=logging.ERROR)
            alive = False
        if not alive:
            self._drop(peer)
        return alive

    def _hear(self, peer: Peer, message: Message) -> None:
        if isinstance(message, Event):
            if peer.session is None:
                raise ProtocolError("expected HELLO before the first event")
            self._intake.take(peer.session, message)
        elif isinstance(message, Hello):
            self._greet(peer, message)
        elif isinstance(message, Stats):
            peer.stats = message
        elif isinstance(message, Drain):
            self._drain(peer, message)
        elif isinstance(message, StatusRequest):
            peer.is_tool = True
            peer.tell(StatusReply({**self._desk.status(), **self.status()}))
            self._watch(peer)
        elif isinstance(message, Bye):
            self._bye(peer, message)
        else:
            raise ProtocolError(f"{type(message).__name__} is for workers")

    def _greet(self, peer: Peer, hello: Hello) -> None:
        if peer.session is not None:
            raise ProtocolError("expected one HELLO on a connection")
        version = min(hello.newest_version, WIRE_VERSION)
        if version < max(hello.oldest_version, OLDEST_WIRE_VERSION):
            peer.tell(Refused(f"this shipper speaks wire {OLDEST_WIRE_VERSION} to {WIRE_VERSION}"))
            raise ProtocolError(f"a worker speaks wire {hello.oldest_version} to {hello.newest_version}")
        if (older := self._by_session.get(hello.session)) is not None:
            self._drop(older)
        peer.session = self._intake.greet(hello)
        self._by_session[hello.session] = peer
        peer.tell(Welcome(version, peer.session.last, os.getpid(), VERSION))
        self._watch(peer)

    def _drain(self, peer: Peer, drain: Drain) -> None:
        peer.is_tool = peer.session is None
        if len(peer.drains) >= MAX_DRAINS:
            raise ProtocolError(f"expected at most {MAX_DRAINS} drains at once")
        if not self.commit():
            peer.tell(Drained(drain.token, False, "the spool cannot store events for now"))
            return
        self.acknowledge()
        peer.drains.add(drain.token)

        def done(delivered: bool, reason: str) -> None:
            self.post(lambda: self._drained(peer, Drained(drain.token, delivered, reason)))

        self._desk.drain(give_up=drain.give_up, application_ids=_applications_of(peer), on_done=done)

    def _drained(self, peer: Peer, answer: Drained) -> None:
        if peer in self._peers:
            peer.drains.discard(answer.token)
            peer.tell(answer)
            self._watch(peer)

    def _bye(self, peer: Peer, bye: Bye) -> None:
        if peer.session is None:
            raise ProtocolError("expected HELLO before BYE")
        if self.commit():
            self._intake.end(peer.session, bye.final_sequence)

    def _look_after_peers(self) -> None:
        now = time.monotonic()
        for peer in list(self._peers):
            patience_s = TOOL_IDLE_S if peer.is_tool else INTRODUCTION_S
            silent = peer.session is None and not peer.drains and now - peer.since > patience_s
            if peer.overdue or silent:
                say("peer dropped", "dropped a peer that says nothing, or does not read its answers")
                self._drop(peer)
            elif peer.drains and peer.session is not None and now - peer.reassured_at >= SIGN_OF_LIFE_S:
                peer.reassured_at = now
                peer.tell(Ack(peer.session.last if self._intake.due_in_s() is None else 0))

    def _watch(self, peer: Peer) -> None:
        """Have the selector look for what this peer can do now."""
        events = 0 if self._paused else selectors.EVENT_READ
        if peer.wants_write:
            events |= selectors.EVENT_WRITE
        if peer not in self._peers or events == peer.watched:
            return
        if not peer.watched:
            self._selector.register(peer, events, peer)
        elif not events:
            self._selector.unregister(peer)
        else:
            self._selector.modify(peer, events, peer)
        peer.watched = events

    def _pause(self, paused: bool) -> None:
        """Stop or resume reading; what peers send meanwhile waits in the kernel and in their rings."""
        if paused != self._paused:
            self._paused = paused
            for peer in self._peers:
                self._watch(peer)

    def _drop(self, peer: Peer) -> None:
        self._peers.discard(peer)
        if peer.watched:
            self._selector.unregister(peer)
        peer.close()
        if peer.session is not None and self._by_session.get(peer.session.id) is peer:
            del self._by_session[peer.session.id]

    def status(self) -> dict[str, Any]:
        """What the status document says of peers."""
        return {
            "workers": [
                {
                    "pid": peer.session.pid,
                    "session": peer.session.id.hex(),
                    "ring_events": peer.stats.ring_events if peer.stats else None,
                    "counters": peer.stats.counters if peer.stats else {},
                }
                for peer in self.workers
                if peer.session is not None
            ],
            "peers": {"connected": len(self._peers), "malformed": self.malformed, "refused": self.refused},
        }


def _applications_of(peer: Peer) -> frozenset[str] | None:
    """Whose events a peer's drain waits for: a worker's own applications; all, for a tool."""
    if peer.session is None:
        return None
    return frozenset(application.application_id for application in peer.session.applications)

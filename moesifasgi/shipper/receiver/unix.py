"""The receiver's loop over a listening Unix socket: accept, read, take, commit, acknowledge. One thread.

The order within a step is what makes an acknowledgement true: all that can be read is read, what waits is
stored in one transaction, and only then are sequences acknowledged.
"""

import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from moesifasgi.quiet import say
from moesifasgi.shipper.health import Reason
from moesifasgi.shipper.intake import Intake, ProtocolError
from moesifasgi.shipper.receiver.admission import Admission
from moesifasgi.shipper.receiver.commits import Commits
from moesifasgi.shipper.receiver.conversation import Conversation, Desk
from moesifasgi.shipper.receiver.listener import Listener
from moesifasgi.shipper.receiver.peer import Peer
from moesifasgi.shipper.receiver.peers import Peers, is_lapsed
from moesifasgi.shipper.receiver.queue import Queues
from moesifasgi.shipper.receiver.speakers import Speakers
from moesifasgi.shipper.registry import Unwelcome
from moesifasgi.shipper.spool import SpoolError
from moesifasgi.wakeup import Wakeup
from moesifasgi.wire.messages import Ack, Refused

NAP_S = 0.004
"""Pause after a round that read something; a busy worker writes 20 frames meanwhile, the kernel holds 90."""
BURY_EVERY_S = 1.0
"""How often the sessions of workers that are gone are looked at."""
SIGN_OF_LIFE_S = 0.25
"""How often a peer that waits for a drain hears an acknowledgement again: a busy shipper is no dead one."""


class Receiver:
    """See the module. ``step`` runs it once; ``post`` and ``push`` are all that other threads may call."""

    def __init__(self, listener: socket.socket, intake: Intake, desk: Desk, admission: Admission) -> None:
        self.malformed = 0
        self.refused = 0
        self._intake = intake
        self._desk = desk
        self._admission = admission
        self._speakers = Speakers(intake, time.monotonic)
        self._conversation = Conversation(intake, self._speakers, desk, self)
        self._posted: deque[Callable[[], None]] = deque()
        self._commits = Commits(intake, time.monotonic)
        self._bury_at = 0.0
        self.wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._peers = Peers(self._selector)
        self._listener = Listener(listener, self._selector, self._accept)
        self._queues = Queues(self._speakers, self._selector)
        self._selector.register(self.wakeup, selectors.EVENT_READ, self.wakeup.clear)

    @property
    def workers(self) -> list[Peer]:
        """Peers that have introduced themselves as workers."""
        return self._conversation.workers

    @property
    def queues(self) -> int:
        """How many queues there are that somebody can still write to."""
        return len(self._queues)

    @property
    def reasons(self) -> list[Reason]:
        """Why nothing arrives here now; empty if it does. Status tells them."""
        return list(self._commits.reasons(time.monotonic()))

    def post(self, task: Callable[[], None]) -> None:
        """Run ``task`` on the receiver's thread, soon."""
        self._posted.append(task)
        self.wakeup.set()

    def push(self, application_id: str, document: bytes) -> None:
        """Tell all workers of this application, now and when they come, a packed policy document."""
        self.post(lambda: self._conversation.push(application_id, document))

    def forget_policy(self, application_id: str) -> None:
        """An application that has no workers is not expected back."""
        self.post(lambda: self._conversation.forget_policy(application_id))

    def reports(self) -> dict[str, list[str]]:
        """What workers say of the policy they enforce, by application."""
        return self._conversation.reports()

    def step(self, longest_wait_s: float) -> bool:
        """One round; True if any peer had something to read."""
        progress = False
        for key, ready in self._selector.select(self._wait_s(longest_wait_s)):
            if isinstance(key.data, Peer):
                progress |= self._serve(key.data, ready)
            else:
                progress |= bool(key.data())
        while self._posted:
            self._posted.popleft()()
        if self._intake.full:
            self._pause(True)  # Until a commit succeeds.
        now = time.monotonic()
        if self._commits.is_due(now):
            self.commit()
        if self._commits.owed.due_in_s(now) == 0.0:
            self.acknowledge()
        if self._listener.due_in_s(now) == 0.0:
            self._listener.wake()
        self._look_after_peers()
        if now >= self._bury_at:
            self._bury_at = now + BURY_EVERY_S
            self.read_queues()
        if progress:
            # Frames come one by one: gathering a few spares each of their workers a wake-up of this process.
            time.sleep(NAP_S)
        return progress

    def commit(self) -> bool:
        """Store what waits and acknowledge it; False if the spool refuses for now."""
        stored = self._commits.store()
        if stored is None:
            return False
        self._pause(False)
        if stored:
            self._desk.appended()
        return True

    def acknowledge(self) -> None:
        """Tell every worker what is stored of its session."""
        for session, sequence in self._commits.owed.settle().items():
            if (peer := self._conversation.worker(session)) is not None:
                peer.tell(Ack(sequence))

    def reconsider(self, admission: Admission) -> None:
        """From now on these are admitted; those that are here and are not any more, are dropped."""
        self._admission = admission
        for peer in self._peers:
            refused = admission.refusal(peer.credentials(), peer.groups()) is not None
            if refused or not self._intake.serves(peer.session):
                self.refused += 1
                self.drop(peer)

    def attach(self, descriptor: int, uid: int) -> str:
        """Read this queue too, for sessions of this user. What is wrong with it, or nothing."""
        return self._queues.attach(descriptor, uid)

    def read_queues(self) -> None:
        """Take all that is in the queues by now, unless the spool refuses."""
        if not self._peers.paused:
            self._queues.read_out()

    def listen(self, listener: socket.socket) -> None:
        """Accept from this socket instead of the present one."""
        self._listener.close()
        self._listener = Listener(listener, self._selector, self._accept)

    def stop_accepting(self) -> None:
        """No new peers; those that are here go on."""
        self._listener.close()

    def read_out(self, deadline: float) -> None:
        """Read what has been sent, store and acknowledge it: the first half of leaving."""
        while self.step(0.0) and time.monotonic() < deadline:
            pass
        self.commit()
        self.acknowledge()

    def close(self) -> None:
        self.stop_accepting()
        for peer in self._peers:
            self.drop(peer)
        self._queues.close()
        self._selector.close()
        self.wakeup.close()

    def _wait_s(self, longest_s: float) -> float:
        now = time.monotonic()
        waits = [longest_s, self._commits.due_in_s(now), self._listener.due_in_s(now)]
        return max(0.0, min(due_s for due_s in waits if due_s is not None))

    def _accept(self) -> None:
        now = time.monotonic()
        if (connected := self._listener.accept(now)) is None:
            return
        peer = Peer(connected, now)
        if (why := self._unwelcome(peer)) is not None:
            self.refused += 1
            peer.tell(Refused(why))
            peer.close()
            return
        self._peers.add(peer)

    def _unwelcome(self, peer: Peer) -> str | None:
        if (refusal := self._admission.refusal(peer.credentials(), peer.groups())) is not None:
            say("uid refused", "refused a peer: %s", refusal)
            return refusal
        if self._peers.full:
            say("too many peers", "refused a peer: %d are connected", len(self._peers))
            return f"more than {len(self._peers)} connections"
        return None

    def _serve(self, peer: Peer, ready: int) -> bool:
        if peer not in self._peers:
            return False  # Dropped in this very round, by a newer connection of its session.
        if ready & selectors.EVENT_WRITE:
            peer.flush()
        if not ready & selectors.EVENT_READ:
            return False
        alive = peer.read()
        try:
            while peer in self._peers and not peer.overdue and (message := peer.next_message()) is not None:
                self._conversation.hear(peer, message)
        except (ValueError, ProtocolError) as error:
            self.malformed += 1
            say("malformed", "dropped a peer that does not keep to the wire: %s", error)
            alive = False
        except Unwelcome as error:
            self.refused += 1
            say("unwelcome", "refused a worker: %s", error)
            alive = False
        except SpoolError as error:
            say("not served", "a peer cannot be served for now: %s", error)
            alive = False
        except Exception as error:  # noqa: BLE001  (one peer must not end the service of all; it comes again)
            say("fault", "dropped a peer after a fault in serving it: %r", error, level=logging.ERROR)
            alive = False
        if not alive:
            self.drop(peer)
        return alive

    def _look_after_peers(self) -> None:
        now = time.monotonic()
        for peer in self._peers:
            if is_lapsed(peer, now):
                say("peer dropped", "dropped a peer that says nothing, or does not read its answers")
                self.drop(peer)
            elif peer.drains and peer.session is not None and now - peer.reassured_at >= SIGN_OF_LIFE_S:
                peer.reassured_at = now
                peer.tell(Ack(peer.session.last if self._intake.due_in_s() is None else 0))
            self._peers.watch(peer)

    def _pause(self, paused: bool) -> None:
        if paused != self._peers.paused:
            self._queues.pause(paused)
            self._peers.pause(paused)

    def drop(self, peer: Peer) -> None:
        """End this connection."""
        self._peers.remove(peer)
        self._conversation.forget(peer)

    def is_connected(self, peer: Peer) -> bool:
        """Whether it was not dropped."""
        return peer in self._peers

    def is_master(self, peer: Peer) -> bool:
        """Whether it may do more than send, ask for status and have the spool delivered."""
        return self._admission.is_master(peer.credentials())

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
            "peers": {
                "connected": len(self._peers),
                "malformed": self.malformed + self._speakers.malformed + self._queues.malformed,
                "refused": self.refused,
                "lost_events": self._speakers.lost,
            },
            "queues": {
                "attached": len(self._queues),
                "events": self._speakers.events,
                "unclaimed": self._speakers.unclaimed,
            },
        }

"""What each message of a peer means, and what it is answered. Knows no socket, no selector and no clock."""

import os
from collections.abc import Callable
from typing import Any, Protocol

from moesifasgi.shipper.intake import Intake, ProtocolError
from moesifasgi.shipper.receiver.letters import answered
from moesifasgi.shipper.receiver.peer import Peer
from moesifasgi.shipper.receiver.speakers import Speakers
from moesifasgi.shipper.registry import Unwelcome
from moesifasgi.shipper.spool import Spool
from moesifasgi.version import VERSION, is_older
from moesifasgi.wire.messages import (
    OLDEST_WIRE_VERSION,
    WIRE_VERSION,
    Attach,
    Attached,
    Bye,
    DecideLetters,
    Drain,
    Drained,
    Event,
    Hello,
    Leaving,
    ListLetters,
    Message,
    ReadLetter,
    Refused,
    Report,
    Stats,
    StatusReply,
    StatusRequest,
    Supersede,
    TakeOver,
    Welcome,
)

MAX_COUNTERS, MAX_COUNTER_CHARS = 64, 40
"""Of one worker: the status of as many workers as there may be has to fit a frame."""
MAX_DRAINS = 64
"""Drains of one peer that wait for their answer at once."""


class Desk(Protocol):
    """What the receiver asks of the rest of the shipper. Called on its thread; must not wait."""

    def appended(self) -> None:
        """Something new is in the spool."""

    def drain(
        self, *, give_up: bool, application_ids: frozenset[str] | None, on_done: Callable[[bool, str], None]
    ) -> Callable[[], None]:
        """Deliver now what is in the spool of these applications (None: of all).

        ``on_done(delivered, reason)`` is called from any thread. What is returned withdraws the request.
        """

    @property
    def spool(self) -> Spool:
        """Where the dead letters are."""

    def hand_over(self) -> bool:
        """Leave soon, for another shipper; False: this one does not."""

    def supersede(self) -> None:
        """A newer version's shipper wants to serve in this one's place."""

    def status(self) -> dict[str, Any]:
        """The status document, but for what the receiver knows."""


class Line(Protocol):
    """What a conversation asks of whoever has the sockets."""

    def commit(self) -> bool:
        """Store what waits; False if the spool refuses for now."""

    def acknowledge(self) -> None:
        """Tell every worker what is stored of its session."""

    def post(self, task: Callable[[], None]) -> None:
        """Run a task on the receiver's thread, soon; may be called from any."""

    def drop(self, peer: Peer) -> None:
        """End this connection."""

    def is_connected(self, peer: Peer) -> bool:
        """Whether it was not dropped."""

    def is_master(self, peer: Peer) -> bool:
        """Whether it may do more than send, ask for status and have the spool delivered."""

    def attach(self, descriptor: int, uid: int) -> str:
        """Read this queue too, for sessions of this user. What is wrong with it, or nothing."""

    def read_queues(self) -> None:
        """Take all that is in the queues by now."""

    def status(self) -> dict[str, Any]:
        """What the status document says of peers."""


class Conversation:
    """All conversations of a shipper. Used by the receiver's thread."""

    def __init__(self, intake: Intake, speakers: Speakers, desk: Desk, line: Line) -> None:
        self._intake = intake
        self._speakers = speakers
        self._desk = desk
        self._line = line
        self._by_session: dict[bytes, Peer] = {}
        self._policies: dict[str, bytes] = {}

    @property
    def workers(self) -> list[Peer]:
        """Peers that have introduced themselves as workers."""
        return list(self._by_session.values())

    def worker(self, session: bytes) -> Peer | None:
        """The peer that speaks for a session now."""
        return self._by_session.get(session)

    def hear(self, peer: Peer, message: Message) -> None:
        """ProtocolError, ValueError: the peer does not keep to the wire. Unwelcome: it is not served.
        SpoolError: come again later.
        """
        match message:
            case Event():
                if peer.session is None:
                    raise ProtocolError("expected HELLO before the first event")
                self._intake.take(peer.session, message)
            case Hello():
                self._greet(peer, message)
            case Stats():
                self._told(peer, message)
            case Report():
                self._note(peer, message)
            case Drain():
                self._drain(peer, message)
            case Attach():
                self._attach(peer)
            case Bye():
                self._bye(peer, message)
            case _:
                self._hear_tool(peer, message)

    def _hear_tool(self, peer: Peer, message: Message) -> None:
        match message:
            case StatusRequest():
                peer.tell(StatusReply({**self._desk.status(), **self._line.status()}))
            case TakeOver():
                self._take_over(peer)
            case Supersede():
                self._supersede(peer, message)
            case ListLetters() | ReadLetter() | DecideLetters():
                self._letters(peer, message)
            case _:
                raise ProtocolError(f"{type(message).__name__} is for workers")
        peer.is_tool = True

    def forget(self, peer: Peer) -> None:
        """It was dropped."""
        for withdraw in peer.drains.values():
            withdraw()
        if peer.session is not None and self._by_session.get(peer.session.id) is peer:
            del self._by_session[peer.session.id]
            self._speakers.left(peer.session)

    def push(self, application_id: str, document: bytes) -> None:
        """A new policy: for all workers of this application, those that are here and those that will come."""
        self._policies[application_id] = document
        for peer in self.workers:
            self._tell_policies(peer, application_id)

    def forget_policy(self, application_id: str) -> None:
        """Nobody here needs it any more."""
        self._policies.pop(application_id, None)

    def reports(self) -> dict[str, list[str]]:
        """What workers say of the policy they enforce, by application; each line once."""
        lines: dict[str, dict[str, None]] = {}
        for peer in self.workers:
            for key, said in peer.reports.items():
                lines.setdefault(_application_ids(peer)[key], {}).update(dict.fromkeys(said))
        return {application_id: list(said) for application_id, said in lines.items()}

    def _greet(self, peer: Peer, hello: Hello) -> None:
        if peer.session is not None:
            raise ProtocolError("expected one HELLO on a connection")
        version = min(hello.newest_version, WIRE_VERSION)
        if version < max(hello.oldest_version, OLDEST_WIRE_VERSION):
            peer.tell(Refused(f"this shipper speaks wire {OLDEST_WIRE_VERSION} to {WIRE_VERSION}"))
            raise ProtocolError(f"a worker speaks wire {hello.oldest_version} to {hello.newest_version}")
        if (older := self._by_session.get(hello.session)) is not None:
            self._line.drop(older)
        try:
            peer.session = self._intake.greet(hello)
        except Unwelcome as error:
            peer.tell(Refused(str(error)))
            raise
        self._by_session[hello.session] = peer
        self._speakers.greeted(peer.session, peer.credentials().uid)
        peer.tell(Welcome(version, peer.session.last, os.getpid(), VERSION))
        for application_id in dict.fromkeys(_application_ids(peer)):
            self._tell_policies(peer, application_id)

    def _tell_policies(self, peer: Peer, application_id: str) -> None:
        """The application's policy, under each key that the peer has for it."""
        document = self._policies.get(application_id)
        if document is None:
            return
        for key, registered in enumerate(_application_ids(peer)):
            if registered == application_id:
                peer.tell_policy(key, document)

    def _told(self, peer: Peer, stats: Stats) -> None:
        counters = stats.counters
        if len(counters) > MAX_COUNTERS or any(len(name) > MAX_COUNTER_CHARS for name in counters):
            raise ProtocolError(f"expected at most {MAX_COUNTERS} counters with short names")
        peer.stats = stats
        if peer.session is not None:
            self._speakers.said(peer.session, stats)

    def _attach(self, peer: Peer) -> None:
        if fault := self._line.attach(peer.take_descriptor(), peer.credentials().uid):
            peer.tell(Refused(fault))
            raise ProtocolError(fault)
        peer.is_tool = True
        peer.tell(Attached(os.getpid()))

    def _note(self, peer: Peer, report: Report) -> None:
        if peer.session is None or report.key >= len(peer.session.applications):
            raise ProtocolError("expected a report on an application of HELLO")
        peer.reports[report.key] = report.lines

    def _drain(self, peer: Peer, drain: Drain) -> None:
        peer.is_tool = peer.session is None
        if drain.token in peer.drains or len(peer.drains) >= MAX_DRAINS:
            raise ProtocolError(f"expected at most {MAX_DRAINS} drains at once, each with a token of its own")
        # What it speaks of may have come another way than the question.
        self._line.read_queues()
        if not self._line.commit():
            peer.tell(Drained(drain.token, False, "the spool cannot store events for now"))
            return
        self._line.acknowledge()

        def done(delivered: bool, reason: str) -> None:
            self._line.post(lambda: self._drained(peer, Drained(drain.token, delivered, reason)))

        ids = None if peer.session is None else frozenset(_application_ids(peer))
        peer.drains[drain.token] = self._desk.drain(give_up=drain.give_up, application_ids=ids, on_done=done)

    def _drained(self, peer: Peer, answer: Drained) -> None:
        if self._line.is_connected(peer):
            peer.drains.pop(answer.token, None)
            peer.tell(answer)

    def _take_over(self, peer: Peer) -> None:
        if not self._line.is_master(peer):
            peer.tell(Refused("only root and the shipper's own user may have it leave"))
        elif self._desk.hand_over():
            peer.tell(Leaving(os.getpid()))
        else:
            peer.tell(Refused("an embedded shipper leaves with its last worker"))

    def _letters(self, peer: Peer, question: ListLetters | ReadLetter | DecideLetters) -> None:
        if self._line.is_master(peer):
            peer.tell(answered(self._desk.spool, question))
            if isinstance(question, DecideLetters):
                self._desk.appended()
        else:
            peer.tell(Refused("only root and the shipper's own user may look at dead letters"))

    def _supersede(self, peer: Peer, successor: Supersede) -> None:
        if is_older(VERSION, successor.sdk_version):
            self._desk.supersede()
        else:
            # Two workers of the newer version saw the older shipper; the other one's successor is this.
            peer.tell(Refused(f"this shipper is of version {VERSION}"))

    def _bye(self, peer: Peer, bye: Bye) -> None:
        if peer.session is None:
            raise ProtocolError("expected HELLO before BYE")
        if self._line.commit():
            self._intake.end(peer.session, bye.final_sequence)
            if bye.final_sequence == peer.session.last:
                self._speakers.ended(peer.session)


def _application_ids(peer: Peer) -> list[str]:
    """By their keys; none of a peer that has not introduced itself."""
    applications = peer.session.applications if peer.session is not None else ()
    return [application.application_id for application in applications]

"""The sessions that may speak through a queue, and what comes of each of their streams.

A worker's death is seen at its socket, perhaps before all that it had put in the queue was read. So a session
stays known for a while after its connection has ended, and what it lost is counted only then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from moesifasgi.quiet import say
from moesifasgi.shipper.intake import Intake, ProtocolError, Session
from moesifasgi.shipper.receiver.last_words import LastWords
from moesifasgi.shipper.spool import SpoolError
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Event, Stats
from moesifasgi.wire.pieces import split

GONE_S = 3.0
"""A worker that lives connects again within a second or two; after this it is taken for dead."""


@dataclass(slots=True)
class _Speaker:
    session: Session
    uid: int
    words: LastWords
    stream: int = 0
    decoder: FrameDecoder | None = field(default_factory=FrameDecoder)
    """None: what is left of this stream is of no use."""
    stream_before: int = 0
    """The newest stream when it connected: a frame cut off in an older one was sent again."""
    gone_at: float | None = None

    def begins(self, stream: int) -> None:
        self.stream, self.decoder = stream, FrameDecoder()

    @property
    def was_cut_off(self) -> bool:
        """It died while it wrote a frame."""
        is_newest = self.stream != self.stream_before
        return is_newest and self.decoder is not None and self.decoder.buffered_bytes > 0


class Speakers:
    """Used by the receiver's thread. ``clock``: monotonic seconds."""

    def __init__(self, intake: Intake, clock: Callable[[], float]) -> None:
        self._intake = intake
        self._clock = clock
        self._by_session: dict[bytes, _Speaker] = {}
        self.events = 0
        """Taken from queues."""
        self.unclaimed = 0
        """Pieces of sessions that no worker of that user has introduced; who lives sends its events again."""
        self.malformed = 0
        self.lost = 0
        """Events that workers took with them, at least."""

    def greeted(self, session: Session, uid: int) -> None:
        """It has introduced itself, for the first time or again, as this user's."""
        speaker = self._by_session.get(session.id)
        if speaker is None:
            self._by_session[session.id] = _Speaker(session, uid, LastWords(session.last))
            return
        speaker.session, speaker.uid, speaker.gone_at = session, uid, None
        speaker.stream_before = speaker.stream
        speaker.words.connected(session.last)

    def said(self, session: Session, stats: Stats) -> None:
        """It tells its numbers."""
        if (speaker := self._by_session.get(session.id)) is not None:
            speaker.words.said(stats)

    def left(self, session: Session) -> None:
        """Its connection has ended."""
        if (speaker := self._by_session.get(session.id)) is not None:
            speaker.gone_at = self._clock()

    def ended(self, session: Session) -> None:
        """It has said goodbye: nothing of it is missing."""
        self._by_session.pop(session.id, None)

    def bury(self) -> None:
        """Let go of those that are gone for good. Call it after all queues were read."""
        long_ago = self._clock() - GONE_S
        for speaker in list(self._by_session.values()):
            if speaker.gone_at is not None and speaker.gone_at <= long_ago:
                self._count_lost(speaker)

    def take(self, piece: bytes, uid: int) -> None:
        """One piece of a queue of this user's. ValueError: it is none."""
        session, stream, data = split(piece)
        speaker = self._by_session.get(session)
        if speaker is None or uid not in (speaker.uid, 0):
            self.unclaimed += 1
            return
        if stream > speaker.stream:
            speaker.begins(stream)
        if stream != speaker.stream or speaker.decoder is None:
            return
        speaker.decoder.feed(data)
        try:
            self._take_events(speaker, speaker.decoder)
        except (ValueError, ProtocolError) as error:
            self.malformed += 1
            speaker.decoder = None
            say("malformed stream", "a worker's stream in the queue does not keep to the wire: %s", error)

    def _take_events(self, speaker: _Speaker, decoder: FrameDecoder) -> None:
        session = speaker.session
        while (payload := decoder.next_payload()) is not None:
            event = decode(payload)
            if not isinstance(event, Event):
                raise ProtocolError("expected nothing but events in a queue")
            if event.sequence > session.last + 1:
                # What came before was forgotten when the worker connected again; it sends all of it anew.
                speaker.decoder = None
                return
            before = session.last
            self._intake.take(session, event)
            self.events += session.last - before

    def _count_lost(self, speaker: _Speaker) -> None:
        session = speaker.session
        try:
            last = self._intake.last_of(session)
        except SpoolError:
            return  # Asked again later.
        del self._by_session[session.id]
        if lost := max(speaker.words.lost(last), int(speaker.was_cut_off)):
            self.lost += lost
            say("lost with a worker", "worker %d ended with %d events that never came", session.pid, lost)

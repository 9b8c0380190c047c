"""The way out of this process: events over the link or through the queue, and control behind them.

Never waits. The carrier's lock guards it.
"""

from moesifasgi.channel.control import Control
from moesifasgi.channel.link import MAX_BUFFERS, Link, Outlet
from moesifasgi.channel.queue import QueueSource, QueueStream
from moesifasgi.channel.session import Session

SEND_BYTES = 64 * 1024
"""Most bytes of backlog in one write, so that the lock is free again within tens of microseconds."""


class Outflow:
    """What is connected now, if anything is, and what goes out there."""

    def __init__(self, session: Session, control: Control, queue: QueueSource | None) -> None:
        """``queue``: what events go through as long as it works; without one, they go over the link."""
        self._session = session
        self._control = control
        self._queue = queue
        self._streams = 0
        self.link: Link | None = None
        self.outlet: Outlet | None = None
        """Where events go while there is a link: the link itself, or a stream of the queue."""
        self.flowing = False
        """The link is up and nothing waits: a frame may be written where it is offered."""

    @property
    def stream(self) -> QueueStream | None:
        """The outlet, if it is the queue."""
        return self.outlet if isinstance(self.outlet, QueueStream) else None

    def open(self, link: Link) -> None:
        """From now on this is connected. Nothing flows before the first ``pump``."""
        self.link = link
        self.outlet = self._begun_stream() or link

    def close(self) -> None:
        """Nothing is connected any more."""
        self.link, self.outlet, self.flowing = None, None, False

    def interrupt(self) -> None:
        """Have the connection end: the next one begins with another HELLO."""
        self.flowing = False
        if self.link is not None:
            self.link.broken = True

    def write_newest(self) -> bool:
        """What was just accepted goes out, where all is ``flowing``; False if not all of it was taken."""
        assert self.outlet is not None
        self.flowing = self.outlet.write_one(self._session.ring.take_newest())
        return self.flowing

    def pump(self) -> bool:
        """Write what waits, as much as is taken; True if more waits. Control follows the events."""
        link, outlet, ring = self.link, self.outlet, self._session.ring
        assert link is not None
        assert outlet is not None
        frames = ring.take(SEND_BYTES, MAX_BUFFERS) if outlet.idle else []
        if frames or not outlet.idle:
            outlet.write(frames)
        if outlet.idle and not ring.has_unsent and (len(self._control) or not link.idle):
            link.write(self._control.take())
        self.flowing = outlet.idle and link.idle and not ring.has_unsent and not len(self._control)
        return not self.flowing

    def leave_queue(self) -> None:
        """For good: the next link takes the events."""
        self._queue = None

    def _begun_stream(self) -> QueueStream | None:
        writer = self._queue.writer if self._queue is not None else None
        if writer is None:
            return None
        self._streams += 1
        return QueueStream(writer, self._session.id, self._streams)

"""The queues, seen from the shipper: pipes that a server's master opened and its workers inherited.

The read end comes over the socket from the master (ATTACH), so a shipper that runs already takes a new one as
well. A queue ends when nobody is left who could write to it, which is when the master and its workers are
gone; until then the shipper stays. The receiver's loop takes what is there and never waits for the rest of
anything. Whatever is no piece ends the queue, and its writers see that at once.
"""

import fcntl
import os
import selectors
import stat
import struct
import termios

from moesifasgi.quiet import say
from moesifasgi.shipper.receiver.speakers import Speakers
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.pieces import MAX_PIECE_BYTES

READ_BYTES = 256 * 1024
MAX_QUEUES = 64


class _Queue:
    def __init__(self, descriptor: int, uid: int) -> None:
        self.descriptor = descriptor
        self.uid = uid
        self.decoder = FrameDecoder(MAX_PIECE_BYTES)

    def fileno(self) -> int:
        return self.descriptor

    def waiting_bytes(self) -> int:
        """How much was written and not read."""
        packed = fcntl.ioctl(self.descriptor, termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", packed)[0])


class Queues:
    """All queues of a shipper, in the receiver's selector. Used by its thread."""

    def __init__(self, speakers: Speakers, selector: selectors.BaseSelector) -> None:
        self._speakers = speakers
        self._selector = selector
        self._queues: set[_Queue] = set()
        self._paused = False
        self.malformed = 0

    def __len__(self) -> int:
        return len(self._queues)

    def attach(self, descriptor: int, uid: int) -> str:
        """Read this one too; it belongs to the queues now. What is wrong with it, or nothing.

        ``uid``: who brought it, and may speak in it (root: for anybody).
        """
        if (fault := self._fault_of(descriptor)) and descriptor >= 0:
            os.close(descriptor)
        if fault:
            return fault
        os.set_blocking(descriptor, False)
        queue = _Queue(descriptor, uid)
        self._queues.add(queue)
        if not self._paused:
            self._watch(queue)
        return ""

    def read_out(self) -> None:
        """Take all that was put by now, and count what the dead took with them."""
        for queue in list(self._queues):
            left = queue.waiting_bytes()
            while left > 0 and (taken := self._read(queue, min(left, READ_BYTES))):
                left -= taken
        self._speakers.bury()

    def pause(self, paused: bool) -> None:
        """Stop or resume reading; what is put meanwhile waits in the kernel and in the workers' rings."""
        if paused == self._paused:
            return
        self._paused = paused
        for queue in self._queues:
            if paused:
                self._selector.unregister(queue)
            else:
                self._watch(queue)

    def close(self) -> None:
        """May be called twice."""
        for queue in list(self._queues):
            self._end(queue)

    def _fault_of(self, descriptor: int) -> str:
        if descriptor < 0 or not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return "expected a pipe beside ATTACH"
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
            return "expected the read end of the pipe"
        return "" if len(self._queues) < MAX_QUEUES else f"expected at most {MAX_QUEUES} queues"

    def _watch(self, queue: _Queue) -> None:
        self._selector.register(queue, selectors.EVENT_READ, lambda: self._read(queue, READ_BYTES) > 0)

    def _read(self, queue: _Queue, most_bytes: int) -> int:
        """How many bytes were taken; none at its end, and where nothing waits."""
        if queue not in self._queues:
            return 0  # It ended in this very round.
        try:
            data = os.read(queue.descriptor, most_bytes)
        except BlockingIOError:
            return 0
        queue.decoder.feed(data)
        try:
            while (piece := queue.decoder.next_payload()) is not None:
                self._speakers.take(piece, queue.uid)
        except ValueError as error:
            self.malformed += 1
            say("malformed queue", "somebody wrote to a queue what is no piece of events: %s", error)
            data = b""
        if not data:
            self._end(queue)
        return len(data)

    def _end(self, queue: _Queue) -> None:
        self._queues.discard(queue)
        if not self._paused:
            self._selector.unregister(queue)
        os.close(queue.descriptor)

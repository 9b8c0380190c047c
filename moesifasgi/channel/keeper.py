"""Keeps on disk what nobody takes, for as long as nobody does.

While there is no shipper, or it has stopped reading, accepted frames exist in this process alone. A process
that ends through ``lifespan.shutdown`` or ``atexit`` writes them down then; one that is killed, or whose
server runs neither, could not. So they go to a file as they come, within milliseconds, on a thread that
exists only meanwhile. A healthy channel never touches the disk.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from moesifasgi.channel.leftovers import LeftBounds, LeftFile
from moesifasgi.quiet import say
from moesifasgi.wire.messages import Hello

GATHER_S = 0.01
"""Pause between two writes: what a killed process had captured within it is lost with it."""
LOOK_S = 0.1
"""How often it looks whether all that is in the file has been acknowledged."""
RETRY_S = 1.0
"""Pause after a write that failed."""
GROWTH = 2
SPARE_BYTES = 1 << 20
"""A file is written anew when it is so many times as large as what nobody has acknowledged, and this."""
END_S = 0.5
"""Longest wait for a write under way when the channel closes."""


class Unacknowledged(Protocol):
    """What the keeper asks of the session, always under the carrier's lock."""

    def unacknowledged(self) -> tuple[Hello, list[bytes]]:
        """All frames that nobody has acknowledged, and how the session introduces itself with them."""

    def bounds(self) -> tuple[int, int, int]:
        """The first sequence that is not acknowledged, the next to be given out, and the bytes in between."""


class Keeper:
    """See the module. Methods that say so are called with ``lock`` held."""

    def __init__(
        self,
        lock: threading.Lock,
        kept: Unacknowledged,
        directory: Callable[[], Path | None],
        bounds: LeftBounds,
    ) -> None:
        self.at_work = False
        """Nobody takes what is offered: ``add`` wants to hear of it."""
        self._changed = threading.Condition(lock)
        self._kept = kept
        self._directory = directory
        self._bounds = bounds
        self._file: LeftFile | None = None
        self._new: list[bytes] = []
        self._whole = False
        """File and ``_new`` together hold all that nobody has acknowledged."""
        self._covered_at = 0
        """The file is needed until all before this sequence is acknowledged."""
        self._written_to = self._writing_to = 0
        """The file has all up to the first of these; with the write under way, up to the other."""
        self._idle = False
        """The thread waits for something to write."""
        self._ending = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Nobody takes what is offered, from now on. Lock held."""
        if self.at_work:
            return
        self.at_work, self._whole, self._ending = True, False, False
        self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="moesif-keeper", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                # No more threads now; the ring keeps the frames, and the next call tries again.
                self._thread, self.at_work = None, False

    def add(self, framed: bytes) -> None:
        """One more frame was accepted. Lock held."""
        self._new.append(framed)
        if self._idle:
            self._idle = False
            self._changed.notify()

    def start_over(self) -> None:
        """The session introduces itself in another way from now on. Lock held."""
        self._whole = False

    def rest(self) -> None:
        """What is offered is taken again. Lock held."""
        self.at_work = self._whole = False
        self._new.clear()
        self._covered_at = self._kept.bounds()[1]
        self._changed.notify()

    def end(self) -> None:
        """The channel closes: write no more. The file stays, and stays ours."""
        with self._changed:
            self.at_work, self._ending, thread = False, True, self._thread
            self._changed.notify()
        if thread is not None:
            thread.join(END_S)

    def discard(self) -> None:
        """What is in the file is acknowledged, or in another one. After ``end``."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    def covers(self) -> int:
        """Before which sequence all that is not acknowledged is in the file. After ``end``."""
        return 0 if self._file is None or self._file.is_gone else self._written_to

    def let_go(self) -> None:
        """The file is for whoever comes next. After ``end``, or in a forked child: it is the parent's."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _run(self) -> None:
        while True:
            if (work := self._next()) is not None:
                self._pause(GATHER_S if self._written(*work) else RETRY_S)
                continue
            if not self._ending:
                self._discard_quietly()
            with self._changed:
                if self._ending or not self.at_work:
                    self._thread = None
                    return

    def _next(self) -> tuple[Hello | None, list[bytes]] | None:
        """What is to be written, waited for: a whole new file if with a HELLO. None: no file is needed."""
        with self._changed:
            while not self._ending:
                base, following, _ = self._kept.bounds()
                if self.at_work and not self._whole and base < following:
                    self._new.clear()
                    self._whole, self._writing_to = True, following
                    return self._kept.unacknowledged()
                if self.at_work and self._whole and self._new:
                    frames, self._new, self._writing_to = self._new, [], following
                    return None, frames
                if not self.at_work and base >= self._covered_at:
                    return None
                self._idle = True
                self._changed.wait(None if self.at_work else LOOK_S)
                self._idle = False
        return None

    def _written(self, hello: Hello | None, frames: list[bytes]) -> bool:
        try:
            self._write(hello, frames)
        except OSError as error:
            self._write_anew()
            say("cannot keep", "events that no shipper takes cannot be kept on disk (%s)", error)
            return False
        return True

    def _write(self, hello: Hello | None, frames: list[bytes]) -> None:
        directory = self._directory()
        if directory is None:
            return
        if hello is not None:
            older, self._file = self._file, LeftFile(directory, hello, frames, self._bounds)
            self._written_to = self._writing_to
            if older is not None:
                older.discard()
        elif self._file is None or self._file.is_gone:
            # A shipper has taken it for a dead worker's; what it has not got is still in the ring.
            self._write_anew()
        else:
            self._file.append(frames)
            self._written_to = self._writing_to
            if self._file.bytes > GROWTH * self._kept.bounds()[2] + SPARE_BYTES:
                self._write_anew()

    def _write_anew(self) -> None:
        with self._changed:
            self._whole = False

    def _discard_quietly(self) -> None:
        try:
            self.discard()
        except OSError as error:
            say("kept file", "a file that is needed no more cannot be deleted: %s", error)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ending, seconds)

"""A way to wake a thread that waits in ``poll``: many calls before it looks cost one write."""

import contextlib
import socket


class Wakeup:
    """``set`` from any thread; the waiting one polls ``fileno`` and calls ``clear``."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def fileno(self) -> int:
        return self._read.fileno()

    def write_fileno(self) -> int:
        """For ``signal.set_wakeup_fd``: a signal wakes the thread too."""
        return self._write.fileno()

    def set(self) -> None:
        # Full means that it is already set; closed means that nobody waits any more.
        with contextlib.suppress(OSError):
            self._write.send(b"\0")

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            while self._read.recv(4096):
                pass

    def close(self) -> None:
        self._read.close()
        self._write.close()

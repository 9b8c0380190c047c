"""One connection as the shipper sees it: bytes in, messages out of them; answers as the kernel takes them."""

import contextlib
import os
import socket
import struct
from collections.abc import Callable

from moesifasgi.shipper.intake import Session
from moesifasgi.shipper.receiver.admission import Credentials
from moesifasgi.shipper.receiver.outbox import Outbox
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Message, Stats

READ_BYTES = 256 * 1024
MAX_CONTROL_BYTES = 128 * 1024
"""The largest message that is no EVENT: a HELLO of as many applications as there are keys has 75 kB."""
_CREDENTIALS = struct.Struct("3I")
_SO_PEERGROUPS = 59
"""Of Linux 4.13 and newer; the socket module has no name for it."""
_GROUP = struct.Struct("I")
MAX_GROUPS = 256
"""As many as Python's getsockopt can return."""


class Peer:
    """A connected, non-blocking socket and what is known of who speaks on it."""

    def __init__(self, connected: socket.socket, since: float) -> None:
        connected.setblocking(False)
        self.socket = connected
        self.since = since
        self.session: Session | None = None
        self.stats: Stats | None = None
        self.reports: dict[int, list[str]] = {}
        """What it says of the policies it enforces, by application key."""
        self.drains: dict[int, Callable[[], None]] = {}
        """How to withdraw each drain that is not answered yet, by its token."""
        self.is_tool = False
        self.reassured_at = 0.0
        """When it last heard that this shipper is alive, while it waits for a drain."""
        self.descriptor = -1
        """What came beside its messages, as long as nobody has taken it; -1: nothing."""
        self.watched = 0
        """What the selector looks for: its event mask."""
        self._decoder = FrameDecoder()
        self._outbox = Outbox()
        self._deaf = False

    def fileno(self) -> int:
        return self.socket.fileno()

    def credentials(self) -> Credentials:
        packed = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return Credentials(*_CREDENTIALS.unpack(packed))

    def groups(self) -> tuple[int, ...]:
        """Its supplementary groups, by the kernel's word; none where it has more than ``MAX_GROUPS``."""
        try:
            packed = self.socket.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, MAX_GROUPS * _GROUP.size)
        except OSError:
            return ()
        return tuple(number for (number,) in _GROUP.iter_unpack(packed))

    @property
    def wants_write(self) -> bool:
        return not self._outbox.empty

    @property
    def overdue(self) -> bool:
        """It sends and does not read."""
        return self._outbox.overfull

    def read(self) -> bool:
        """Take in what has arrived; False at the end of the stream (all that came before has been read)."""
        try:
            data = self._received()
        except BlockingIOError:
            return True
        except OSError:
            # Reported only after the last byte that the peer had sent was read.
            return False
        self._decoder.feed(data)
        return bool(data)

    def next_message(self) -> Message | None:
        """ValueError (FrameTooLarge, MalformedMessage) where the peer does not speak this wire."""
        payload = self._decoder.next_payload()
        return None if payload is None else decode(payload, MAX_CONTROL_BYTES)

    def tell(self, message: Message) -> None:
        """Answer. A peer that cannot be written to is still read to its end: what it had sent counts."""
        if not self._deaf:
            self._outbox.answer(message)
            self.flush()

    def tell_policy(self, key: int, document: bytes) -> None:
        """A packed policy document, in place of an older one that waits."""
        if not self._deaf:
            self._outbox.policy(key, document)
            self.flush()

    def flush(self) -> None:
        """Give the kernel what it takes."""
        try:
            while buffers := self._outbox.next_buffers():
                self._outbox.wrote(self.socket.sendmsg(buffers))
        except BlockingIOError:
            return
        except OSError:
            self._deaf = True
            self._outbox = Outbox()

    def take_descriptor(self) -> int:
        """It belongs to the caller then."""
        taken, self.descriptor = self.descriptor, -1
        return taken

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.take_descriptor())
        with contextlib.suppress(OSError):
            self.socket.close()

    def _received(self) -> bytes:
        if self.session is not None:
            return self.socket.recv(READ_BYTES)
        # One descriptor: the kernel lets go of what is more.
        data, descriptors, _, _ = socket.recv_fds(self.socket, READ_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        for descriptor in descriptors:
            if self.descriptor >= 0:
                os.close(self.descriptor)
            self.descriptor = descriptor
        return data

"""The shipper's end of the wire inside a test's process: the real receiver and intake over any spool.

``FarEnd`` is a shipper without delivery, on a thread; ``kill`` ends it as SIGKILL would, with what was taken
and not committed. ``Speaker`` is a peer that says what a test wants, right or wrong.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.receiver.admission import Admission
from moesifasgi.shipper.receiver.unix import Receiver
from moesifasgi.shipper.registry import MAX_APPLICATIONS, Registry
from moesifasgi.shipper.spool import Spool
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.unix_socket import connected, listening
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import decode, encode
from moesifasgi.wire.frame import FrameDecoder, frame
from moesifasgi.wire.messages import Event, Hello, Kind, Message

STEP_S = 0.02


class Stored(NamedTuple):
    """One frame as it lies in the spool."""

    session: bytes
    sequence: int
    payload: bytes


class FarEnd:
    """A receiver that listens at ``path`` and stores in ``spool``; serves from the ``with`` on."""

    def __init__(
        self,
        path: Path,
        spool: Spool | None = None,
        *,
        allowed_uids: Iterable[int] | None = None,
        max_applications: int = MAX_APPLICATIONS,
    ) -> None:
        self.path = path
        self.spool = spool if spool is not None else MemorySpool()
        self.drain_answer: tuple[bool, str] | None = (True, "")
        """What a drain is told; None: nothing."""
        self.withdrawn_drains = 0
        self.superseded = False
        self.intake = Intake(self.spool, Registry(self.spool, None, max_applications))
        allowed = frozenset({os.geteuid()} if allowed_uids is None else allowed_uids)
        self.receiver = Receiver(listening(path, 0o600), self.intake, self, Admission(allowed))
        self._ending = False
        self._suspended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="far-end")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End at once: nothing more is read, committed or said. May be called twice."""
        self._ending = True
        if self._thread.is_alive():
            self.receiver.wakeup.set()
            self._thread.join()
        self.receiver.close()

    def appended(self) -> None:
        """Nobody delivers here."""

    def drain(
        self, *, give_up: bool, application_ids: frozenset[str] | None, on_done: Callable[[bool, str], None]
    ) -> Callable[[], None]:
        if self.drain_answer is not None:
            on_done(*self.drain_answer)
        return self._withdraw

    def supersede(self) -> None:
        """It is asked to give way."""
        self.superseded = True

    def status(self) -> dict[str, Any]:
        return {}

    def stored(self) -> list[Stored]:
        """All frames in the spool, lane by lane, each lane in its order."""
        return [
            Stored(chunk.session, sequence, item.payload)
            for lane in self.spool.lanes()
            for chunk in self.spool.peek(lane, 0, 1 << 30)
            for sequence, item in zip(chunk.sequences, chunk.items, strict=True)
        ]

    def _withdraw(self) -> None:
        self.withdrawn_drains += 1

    def _run(self) -> None:
        while not self._ending:
            self.receiver.step(STEP_S)


class Speaker:
    """One raw connection to a far end."""

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        self.socket = connected(path, timeout_s)
        self.session = uuid.uuid4().bytes
        self._decoder = FrameDecoder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def say(self, *messages: Message) -> None:
        self.socket.sendall(b"".join(frame(encode(message)) for message in messages))

    def hello(self, base: int = 1, **changed: Any) -> Message | None:
        """Introduce a worker of one application; returns the answer."""
        applications = [Application("app-of-the-tests").to_wire()]
        hello = Hello(1, 1, self.session, base, os.getpid(), "0", applications)
        self.say(hello._replace(**changed))
        return self.answer()

    def events(self, *sequences: int, payload: bytes = b"\x90") -> None:
        self.say(*(Event(Kind.RECORD, 0, sequence, payload) for sequence in sequences))

    def answer(self) -> Message | None:
        """The next message of the other end; None where it closed the connection."""
        while (payload := self._decoder.next_payload()) is None:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._decoder.feed(data)
        return decode(payload)

    def answer_of(self, kind: type[Message], timeout_s: float = 5.0) -> Any:
        """The next message of this kind; AssertionError where the connection closes before."""
        deadline = time.monotonic() + timeout_s
        while not isinstance(answer := self.answer(), kind):
            assert answer is not None, f"the far end closed the connection before a {kind.__name__}"
            assert time.monotonic() < deadline
        return answer

    def is_dropped(self) -> bool:
        """Whether the other end closes the connection; what it says before is ignored."""
        try:
            while self.answer() is not None:
                pass
        except TimeoutError:
            return False
        return True


def silent_listener(path: Path) -> socket.socket:
    """A listening socket behind which nobody accepts, reads or answers: a stopped shipper."""
    return listening(path, 0o600)

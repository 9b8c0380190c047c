"""Calls over one connection, and every byte that the server said on it: to compare two servers.

h11 writes the requests and finds the end of each response; what is compared is what came from the socket,
with framing, order and the closing of the connection. Only the value of ``Date`` is made the same.
"""

import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import h11

from lab.servers import Server, connection_to

READ_TIMEOUT_S = 30.0
NAMED_HOST = "example.org"
"""What every call names as its host, so that links in answers do not depend on a port."""
_DATE = re.compile(rb"(?im)^(date:\s*)[^\r\n]+")


class Call(NamedTuple):
    """One request. ``name`` is part of the query, which ties an event to its call."""

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: tuple[bytes, ...] = ()
    """Its parts, each written by itself; more than one go out in chunked coding."""

    @property
    def target(self) -> str:
        return f"{self.path}?call={self.name}"

    @property
    def url(self) -> str:
        return f"http://{NAMED_HOST}{self.target}"


class Answer(NamedTuple):
    """One complete response as a client understands it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """Names in lower case, without Date."""
    body: bytes


class Conversation(NamedTuple):
    """All that a server said on one connection until one side closed it."""

    raw: bytes
    answers: tuple[Answer, ...]


def converse(server: Server, calls: Sequence[Call]) -> Conversation:
    """Make these calls one after another on one connection.

    A server that closes it gets no further call. h11.RemoteProtocolError where it says what is no HTTP/1.1.
    """
    with _Line(server) as line:
        answers = []
        for call in calls:
            if not line.say(call) or (answer := line.answer()) is None:
                break
            answers.append(answer)
            if not line.ready_for_more():
                break
        raw = line.rest()
    return Conversation(raw, tuple(answers))


class _Line:
    """The client's end of one connection."""

    def __init__(self, server: Server) -> None:
        self._socket = connection_to(server)
        self._socket.settimeout(READ_TIMEOUT_S)
        self._protocol = h11.Connection(h11.CLIENT)
        self._heard = bytearray()

    def __enter__(self) -> "_Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def say(self, call: Call) -> bool:
        """Whether the server took it; False where it had closed the connection."""
        headers = [("Host", NAMED_HOST), *call.headers]
        if len(call.body) == 1:
            headers.append(("Content-Length", str(len(call.body[0]))))
        elif call.body:
            headers.append(("Transfer-Encoding", "chunked"))
        try:
            self._write(h11.Request(method=call.method, target=call.target, headers=headers))
            for part in call.body:
                self._write(h11.Data(data=part))
            self._write(h11.EndOfMessage())
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def answer(self) -> Answer | None:
        """None where the server closed the connection instead, as some do after an exception."""
        head: h11.Response | None = None
        body = bytearray()
        heard_before = len(self._heard)
        try:
            while not isinstance(event := self._event(), h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
        except h11.RemoteProtocolError:
            if len(self._heard) > heard_before:
                raise
            return None
        assert head is not None
        headers = tuple((name, value) for name, value in head.headers if name != b"date")
        return Answer(head.status_code, headers, bytes(body))

    def ready_for_more(self) -> bool:
        if self._protocol.our_state is not h11.DONE or self._protocol.their_state is not h11.DONE:
            return False
        self._protocol.start_next_cycle()
        return True

    def rest(self) -> bytes:
        """All bytes heard; first the client says that it says no more, and waits for the server's end."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        while self._hear():
            pass
        return _without_dates(bytes(self._heard))

    def _write(self, event: h11.Event) -> None:
        # Nothing is not written: the server may have answered and closed by then, and even that would fail.
        if data := self._protocol.send(event):
            self._socket.sendall(data)

    def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(self._hear())
        return event

    def _hear(self) -> bytes:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self._heard += data
        return data


def _without_dates(raw: bytes) -> bytes:
    return _DATE.sub(rb"\1(a date)", raw)

"""One client's connection: reads its requests, writes answers in one piece, misbehaves where it is told to.

On top of the standard library's server, because what a collector must never do (reset, hang, drip) needs the
raw socket. Nothing here knows what an endpoint means.
"""

import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from moesifasgi.inspector.behaviour import Behaviour
from moesifasgi.inspector.contract import endpoint_of, stream_of
from moesifasgi.inspector.control import is_control
from moesifasgi.inspector.decoding import MAX_BODY_BYTES, Refused
from moesifasgi.inspector.message import APPLICATION_ID, Answer, Request, json_answer
from moesifasgi.inspector.server import Server

_PIECE_BYTES = 65_536


class Connection(BaseHTTPRequestHandler):
    """One client's connection; all its requests, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "moesif-inspector"
    sys_version = ""
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer any request; the base class calls this by the method's name."""
        target = urlsplit(self.path)
        path = target.path if is_control(target.path) else endpoint_of(target.path) or "other"
        query = dict(parse_qsl(target.query))
        try:
            length = self._body_length()
        except Refused as refused:
            self.close_connection = True
            self._count(path, refused.status)
            return self._write(json_answer(refused.status, {"error": refused.reason}))
        if is_control(path):
            request = Request(self.command, path, query, self.headers, self._read(length))
            return self._write(self.server.control.answer(request))
        stream = stream_of(path) if self.command == "POST" else None
        if stream is None:
            return self._meet(path, query, length)
        with self.server.store.uploading(stream):
            return self._meet(path, query, length)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _meet(self, path: str, query: dict[str, str], length: int) -> None:
        told = self.server.script.next_for(path, self.headers.get(APPLICATION_ID)) or Behaviour()
        if told.reset_after_bytes is not None:
            self._read(min(length, told.reset_after_bytes))
            return self._reset(path)
        request = Request(self.command, path, query, self.headers, self._read(length))
        if told.hang:
            return self._hang(path)
        self._wait(told.delay_s)
        if told.reset:
            return self._reset(path)
        answer = told.disguise(told.refusal() or self.server.contract.answer(request))
        if told.lose_reply:
            return self._reset(path)
        self._count(path, answer.status)
        return self._write(answer, told.drip_s)

    def _body_length(self) -> int:
        if self.headers.get("Transfer-Encoding"):
            raise Refused(411, "expected a Content-Length")
        text = self.headers.get("Content-Length", "0")
        if not text.isdecimal() or len(text) > 18:
            raise Refused(400, "expected a number as Content-Length")
        if int(text) > MAX_BODY_BYTES:
            self._discard(int(text))
            raise Refused(413, f"a body of more than {MAX_BODY_BYTES} bytes")
        return int(text)

    def _read(self, length: int) -> bytes:
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client left inside its request")
        return body

    def _discard(self, length: int) -> None:
        # A connection closed on unread bytes is reset, and the client would not see the answer. A body that
        # is far too long is not worth that.
        left = min(length, 2 * MAX_BODY_BYTES)
        while left and (piece := self.rfile.read(min(left, _PIECE_BYTES))):
            left -= len(piece)

    def _wait(self, seconds: float) -> None:
        if seconds and self.server.closing.wait(seconds):
            raise ConnectionAbortedError("the collector closes")

    def _hang(self, path: str) -> None:
        self._count(path, "hung")
        self.close_connection = True
        # Ends when the client leaves, or when the closing server shuts the socket down.
        while self.connection.recv(_PIECE_BYTES):
            pass

    def _reset(self, path: str) -> None:
        self._count(path, "reset")
        self.close_connection = True
        self.server.reset(self.connection)

    def _count(self, path: str, outcome: int | str) -> None:
        self.server.store.count_request(f"{self.command} {path} {outcome}", time.time())

    def _write(self, answer: Answer, drip_s: float | None = None) -> None:
        if not isinstance(answer.body, bytes):
            self._write_chunks(answer, answer.body)
        elif drip_s is None:
            self.wfile.write(self._whole(answer, answer.body))
        else:
            for byte in self._whole(answer, answer.body):
                self._wait(drip_s)
                self.wfile.write(bytes((byte,)))

    def _write_chunks(self, answer: Answer, pieces: Iterator[bytes]) -> None:
        self.wfile.write(self._head(answer, {"Transfer-Encoding": "chunked"}))
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _whole(self, answer: Answer, body: bytes) -> bytes:
        if answer.status in (204, 304):  # These have no body by definition, so a length would be a lie.
            return self._head(answer, {})
        return self._head(answer, {"Content-Length": str(len(body))}) + body

    def _head(self, answer: Answer, framing: dict[str, str]) -> bytes:
        known = {"Server": self.server_version, "Date": self.date_time_string(), **framing}
        if self.close_connection:
            known["Connection"] = "close"
        replaced = {name.lower() for name in answer.headers}
        fields = {name: value for name, value in known.items() if name.lower() not in replaced}
        lines = [f"{name}: {value}\r\n" for name, value in {**fields, **answer.headers}.items()]
        return f"HTTP/1.1 {answer.status} {_phrase(answer.status)}\r\n{''.join(lines)}\r\n".encode("latin-1")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests are counted, not logged."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"

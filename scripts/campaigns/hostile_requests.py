"""Hostile requests as bytes on a socket, and a server that they are sent to, with the middleware or bare."""

import gzip
import json
import os
import socket
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lab.servers import Server, connection_to, running

HERE = Path(__file__).parent
APPLICATION_ID = "hostile-application-id-as-long-as-a-real-one-0123456789abcdefghi"
MIB = 1 << 20
TIMEOUT_S = 60.0
ATTEMPTS = 5
BOMB = gzip.compress(bytes(30_000_000))
"""29 kB that a careless reader makes 40 MB of base64 of."""
_ADDED = (b"date:", b"x-moesif-transaction-id:")
"""What may differ in the answers of the same application."""

Chunks = Iterable[bytes]
Http = Literal["httptools", "h11"]


def post(body: bytes, *headers: bytes, path: bytes = b"/count") -> bytes:
    """A whole request, after whose answer the server closes the connection."""
    lines = (b"POST %s HTTP/1.1" % path, b"Host: a", b"Connection: close", b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, *headers, b"", body))


_JSON, _GZIP = b"Content-Type: application/json", b"Content-Encoding: gzip"
_FORWARDED = (b"X-Forwarded-For", b"X-Client-IP", b"Forwarded", b"CF-Connecting-IP", b"X-Real-IP")
SMALL: dict[str, bytes] = {
    "a bomb": post(BOMB, _JSON, _GZIP),
    "a bomb in a bomb": post(gzip.compress(BOMB), _JSON, b"Content-Encoding: gzip, gzip"),
    "half a bomb": post(BOMB[:15_000], _JSON, _GZIP),
    "many values in few bytes": post(gzip.compress(b"[" + b"1," * 100_000 + b"1]"), _JSON, _GZIP),
    "headers of 60 kB": post(b"", *(b"X-%d: %s" % (number, b"y" * 1000) for number in range(60))),
    "many headers": post(b"", *(b"X-%d: y" % number for number in range(4_000))),
    "more headers than a server takes": post(b"", *(b"X-%d: %s" % (n, b"y" * 1000) for n in range(3_000))),
    "evil addresses": post(b"", *(b"%s: evil" % name for name in _FORWARDED)),
    "an address of 50 kB": post(b"", b"X-Forwarded-For: " + b"1.2.3.4," * 6_000),
    "bytes in the path": post(b"", path=b"/\xff\xfe%ff%zz%00"),
    "bytes in a header": post(b"", b"X-Odd: \xff\xfe\x80"),
    "another's url": post(b"", path=b"http://evil.example/count?x=1"),
    "a long path": post(b"", path=b"/" + b"a" * 60_000),
    "no UTF-8": post(b'{"a": "\xff\xfe"}', _JSON),
    "no JSON": post(b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": "\\ud800"}', _JSON),
    "deep JSON": post(b"[" * 40_000 + b"]" * 40_000, _JSON),
    "a long number": post(b"9" * 90_000, _JSON),
    "a form of boundaries": post(b"--x\r\n" * 15_000, b"Content-Type: multipart/form-data; boundary=x"),
    "a token of 50 kB": post(b"", b"Authorization: Bearer a." + b"eyJh" * 12_000 + b".c"),
    "two lengths": post(b"abc", b"Content-Length: 30"),
    "no method": b"\x00\x01 / HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "broken chunks": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n\r\n",
}
"""Each is answered (or refused) at once."""


MASKS: dict[str, Any] = {"REQUEST_BODY_MASKS": ["password", "a.b"], "RESPONSE_BODY_MASKS": ["password"]}
"""With these the worker itself looks into bodies."""
UPLOAD_MIB, DOWNLOAD_MIB, ENDLESS_MIB = 2048, 256, 64
MAX_BODY_BYTES = 100_000
LONGEST_HELD_S = 0.020
GROWTH_BYTES = 2 * MAX_BODY_BYTES + 8 * MIB
"""The two bodies, and what the server itself and the allocator keep."""


def upload(megabytes: int) -> Chunks:
    """A request of so many MiB, in chunks."""
    yield b"POST /count HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (MIB, bytes(MIB))
    for _ in range(megabytes):
        yield chunk
    yield b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """The server of ``hostile_application``."""

    server: Server

    def answer(self, request: Chunks) -> bytes:
        """All that the server says until it closes the connection, but for what may differ."""
        with self._asked(request) as connection:
            said = b"".join(_parts(connection))
        lines = said.split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.lower().startswith(_ADDED))

    def answer_size(self, path: bytes, most: int | None = None) -> int:
        """Bytes of the answer, of which at most about ``most`` are read before the client leaves."""
        size = 0
        request = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path
        with self._asked([request]) as connection:
            for part in _parts(connection):
                size += len(part)
                if most is not None and size >= most:
                    break
        return size

    def held(self) -> dict[str, Any]:
        """What the application tells of itself since it was last asked."""
        with urllib.request.urlopen(f"{self.server.url}/held", timeout=TIMEOUT_S) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    @contextmanager
    def _asked(self, request: Chunks) -> Iterator[socket.socket]:
        with connection_to(self.server) as connection:
            connection.settimeout(TIMEOUT_S)
            # A server that refuses a request does not read the rest of it.
            with suppress(ConnectionResetError, BrokenPipeError):
                for chunk in request:
                    connection.sendall(chunk)
            yield connection


def answered_otherwise(bare: Target, ours: Target) -> list[str]:
    """The small requests whose answers differ."""
    return [name for name, request in SMALL.items() if not _same_answer(bare, ours, request)]


def _same_answer(bare: Target, ours: Target, request: bytes) -> bool:
    # A server that closes before it has read all resets the connection, and its answer may be lost in that.
    return any(bare.answer([request]) == ours.answer([request]) for _ in range(ATTEMPTS))


def large_bodies(ours: Target) -> list[str]:
    """Three requests with more bytes than anyone should keep; what went wrong."""
    size = UPLOAD_MIB * MIB
    is_right = {
        "an upload": ours.answer(upload(UPLOAD_MIB)).endswith(b"\r\n%d bytes" % size),
        "a download": ours.answer_size(b"/download/%d" % DOWNLOAD_MIB) > DOWNLOAD_MIB * MIB,
        "an endless stream": ours.answer_size(b"/endless", ENDLESS_MIB * MIB) >= ENDLESS_MIB * MIB,
    }
    return [name for name, right in is_right.items() if not right]


@contextmanager
def target(http: Http = "httptools", **environment: str) -> Iterator[Target]:
    """The application on uvicorn, bare; with ``watched(…)`` as environment, under the middleware."""
    made = {
        **environment,
        "PYTHONPATH": os.pathsep.join((str(HERE.parent), os.environ.get("PYTHONPATH", ""))),
    }
    options = ("--http", http)
    with running(app="hostile_application:app", workers=1, cwd=HERE, env=made, extra=options) as server:
        yield Target(server)


def watched(directory: Path, collector_url: str, **settings: Any) -> dict[str, str]:
    """The environment in which the application is recorded, with its spool in ``directory``."""
    return {
        "HOSTILE_SETTINGS": json.dumps(settings),
        "MOESIF_APPLICATION_ID": APPLICATION_ID,
        "MOESIF_BASE_URI": collector_url,
        "MOESIF_SPOOL_DIR": str(directory),
        "MOESIF_SHIPPER_SOCKET": str(directory / "no-standalone-shipper.sock"),
    }


def _parts(connection: socket.socket) -> Iterator[bytes]:
    with suppress(ConnectionResetError):
        yield from iter(lambda: connection.recv(MIB), b"")

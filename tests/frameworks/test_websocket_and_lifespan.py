"""What is no HTTP call passes through untouched: WebSockets, and the state that a lifespan makes."""

import json
from base64 import b64encode

import pytest
from exchanges import Laboratory
from lab.servers import Server, ServerName, connection_to
from lab.verbatim import NAMED_HOST, READ_TIMEOUT_S, Call, converse
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

GREETING = Call("greeting", "GET", "/greeting")
CLOSING = b"as you say"
HANDSHAKE = (
    "GET /chat?call=chat HTTP/1.1\r\n"
    f"Host: {NAMED_HOST}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: chat\r\n"
    f"Sec-WebSocket-Key: {b64encode(b'the same a time.').decode()}\r\n\r\n"
)


def chat(server: Server, *messages: str) -> bytes:
    """All that a server says in a WebSocket conversation, the last message being what ends it."""
    protocol = Connection(ConnectionType.CLIENT)
    with connection_to(server) as connection:
        connection.settimeout(READ_TIMEOUT_S)
        connection.sendall(HANDSHAKE.encode())
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += connection.recv(1 << 16)
        for message in messages:
            connection.sendall(protocol.send(TextMessage(message)))
        while CLOSING not in heard:
            heard += connection.recv(1 << 16)
        connection.sendall(protocol.send(CloseConnection(4001)))
        while data := connection.recv(1 << 16):
            heard += data
    head, _, frames = heard.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + frames


@pytest.mark.parametrize(
    ("name", "extra"),
    # Hypercorn keeps a connection that was a WebSocket as long as any other.
    [("uvicorn", ()), ("hypercorn", ("--keep-alive", "1"))],
    ids=["uvicorn", "hypercorn"],
)
@pytest.mark.parametrize("place", ["wrap", "add"])
def test_a_websocket_passes_untouched_and_is_no_call(
    place: str, name: ServerName, extra: tuple[str, ...], laboratory: Laboratory
):
    said = ("hello", "caf\u00e9", "leave")
    with laboratory.serving("starlette_app", "bare", name, extra=extra) as server:
        expected = chat(server, *said)
    with laboratory.serving("starlette_app", place, name, extra=extra) as server:
        found = chat(server, *said)
        converse(server, [GREETING])
    assert found == expected
    assert found.startswith(b"HTTP/1.1 101")
    assert b'{"said":"hello"}' in found
    assert laboratory.events().names() == ["greeting"]


@pytest.mark.parametrize("place", ["wrap", "add"])
def test_the_state_of_a_lifespan_reaches_the_endpoints(place: str, laboratory: Laboratory):
    with laboratory.serving("starlette_app", place) as server:
        (answer,) = converse(server, [GREETING]).answers
    assert (answer.status, json.loads(answer.body)) == (200, {"greeting": "made at start-up"})

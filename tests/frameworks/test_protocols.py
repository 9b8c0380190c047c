"""HTTP/1.1 and HTTP/2, over TCP and Unix sockets: the same answers as without, and true events."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
import pytest
from exchanges import CALLS, Laboratory, answered_in, assert_true, conversations
from lab.servers import Server, ServerName
from lab.verbatim import NAMED_HOST, Answer, Call


def answers_over_http2(server: Server, calls: Sequence[Call]) -> list[Answer]:
    """All calls as streams of one connection that begins with HTTP/2 at once."""
    uds = None if server.uds is None else str(server.uds)
    transport = httpx.HTTPTransport(http1=False, http2=True, uds=uds)
    with httpx.Client(transport=transport, base_url=server.url) as client:
        return [_over_http2(client, call) for call in calls]


def _over_http2(client: httpx.Client, call: Call) -> Answer:
    more: dict[str, Any] = {"content": b"".join(call.body) if len(call.body) < 2 else iter(call.body)}
    headers = {"Host": NAMED_HOST, **dict(call.headers)}
    response = client.request(call.method, call.target, headers=headers, **(more if call.body else {}))
    assert response.http_version == "HTTP/2"
    names = tuple((name.lower(), value) for name, value in response.headers.raw if name.lower() != b"date")
    return Answer(response.status_code, names, response.content)


class Way(NamedTuple):
    """How calls come to an application."""

    server: ServerName
    uds: bool = False

    def __str__(self) -> str:
        return f"{self.server}-{'unix' if self.uds else 'tcp'}"

    @property
    def unseen(self) -> set[str]:
        """Granian reads a file for Starlette itself (``http.response.pathsend``)."""
        return {"file"} if self.server == "granian" else set()


def ways(*servers: ServerName) -> list[Way]:
    return [Way(server, uds) for server in servers for uds in (False, True)]


def assert_delivered(laboratory: Laboratory, answered: Sequence[tuple[Call, Answer]], way: Way) -> None:
    events = laboratory.events()
    events.assert_one_each([call for call, _ in answered])
    for call, answer in answered:
        event = events.of(call)
        unseen = call.name in way.unseen
        assert_true(event, call, answer, unseen_body=unseen)
        notes = event.get("metadata", {}).get("moesif", {})
        assert notes.get("response_body") == ({"unseen": True} if unseen else None)
        assert event["request"].get("ip_address") == (None if way.uds else "127.0.0.1")


@pytest.mark.parametrize("way", ways("uvicorn", "hypercorn", "granian"), ids=str)
def test_http1_answers_are_the_same_byte_for_byte_and_every_call_is_delivered(
    way: Way, laboratory: Laboratory
):
    """A3: over a Unix socket there is no client address, and every request became a 500."""
    with laboratory.serving("starlette_app", "bare", way.server, uds=way.uds) as server:
        expected = conversations(server, CALLS)
    with laboratory.serving("starlette_app", "wrap", way.server, uds=way.uds) as server:
        found = conversations(server, CALLS)
    for call, with_middleware, without in zip(CALLS, found, expected, strict=True):
        assert with_middleware.raw == without.raw, call
    assert_delivered(laboratory, answered_in(CALLS, found), way)


@pytest.mark.parametrize("way", ways("hypercorn", "granian"), ids=str)
def test_http2_answers_are_the_same_and_events_have_the_authority_as_host(way: Way, laboratory: Laboratory):
    # Granian sends the body that Starlette gives it for HEAD, which over HTTP/2 is a protocol error.
    calls = [call for call in CALLS if way.server != "granian" or call.method != "HEAD"]
    with laboratory.serving("starlette_app", "bare", way.server, uds=way.uds) as server:
        expected = answers_over_http2(server, calls)
    with laboratory.serving("starlette_app", "wrap", way.server, uds=way.uds) as server:
        found = answers_over_http2(server, calls)
    assert found == expected
    assert_delivered(laboratory, list(zip(calls, found, strict=True)), way)

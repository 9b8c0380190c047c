"""Faults of the in-process middleware in what it captures, one test each: from a client to the collector.

A real server, its embedded shipper and a collector. The parts have tests of their own, with many more cases;
A14 has its file (``test_user_agent``).
"""

import asyncio
import contextvars
import gzip
import json
import socket
import subprocess
import sys
import tempfile
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
from lab.one_worker import OneWorker, ask
from lab.servers import Server, connection_to, running
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse

from moesifasgi.event.client_ip import FORWARDING_HEADERS
from moesifasgi.inspector import Collector

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "moesifasgi"
HEADER = "x-moesif-transaction-id"
ARRIVES_S = 10.0
MAX_BODY_BYTES = 100_000
MIB = 1 << 20
BOMB = gzip.compress(bytes(30_000_000))
"""What the published package made a text of 40,000,000 characters of."""

Event = dict[str, Any]


class Site(NamedTuple):
    """The application on its server, and where its events arrive."""

    server: Server
    collector: Collector
    client: httpx.Client

    def events(self, path: str, count: int = 1) -> list[Event]:
        """The events of the requests for ``path``, once there are so many."""

        def arrived() -> list[Event]:
            events = self.collector.store.items()
            return [each for each in events if httpx.URL(each["request"]["uri"]).path == path]

        assert self.collector.wait_for(lambda _: len(arrived()) >= count, ARRIVES_S), self.server.log()
        assert self.collector.store.counts().invalid == 0
        return arrived()

    def event(self, path: str) -> Event:
        (only,) = self.events(path)
        return only


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with (
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory,
        Collector() as collector,
        served(collector, Path(directory)) as server,
        httpx.Client(base_url=server.url, timeout=ARRIVES_S) as client,
    ):
        yield Site(server, collector, client)


@pytest.fixture
def fresh(site: Site) -> Site:
    """With nothing in the collector's store."""
    site.collector.store.reset()
    return site


def served(collector: Collector, directory: Path, uds: Path | None = None) -> AbstractContextManager[Server]:
    environment = {
        "MOESIF_APPLICATION_ID": "faults-application-id-as-long-as-a-real-one-0123456789abcdefg",
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_SPOOL_DIR": str(directory),
        "MOESIF_SHIPPER_SOCKET": str(directory / "no-standalone-shipper.sock"),
        "MOESIF_MAX_BODY_SIZE": str(MAX_BODY_BYTES),
        "MOESIF_EVENT_BATCH_TIMEOUT": "0.05",
    }
    # The server's own reading of X-Forwarded-For is off, so that ours meets it.
    options = ("--no-proxy-headers",)
    return running(app="capture_app:app", workers=1, cwd=HERE, env=environment, uds=uds, extra=options)


def answered(connection: socket.socket, until: bytes) -> bytes:
    """All that the server says up to ``until``; TimeoutError where it does not come."""
    connection.settimeout(ARRIVES_S / 2)
    said = b""
    while until not in said:
        part = connection.recv(1 << 16)
        assert part, f"the server closed the connection after {said!r}"
        said += part
    return said


def test_overlapping_requests_have_their_own_ids_on_response_and_event(fresh: Site):
    """A2: the mapper kept one id for all requests; /s1 was recorded with that of /s2."""
    paths = ("/meet/s1/s2", "/meet/s2/s1")
    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(fresh.client.get, paths))

    events = [fresh.event(path) for path in paths]
    assert [each["response"]["body"]["name"] for each in events] == ["s1", "s2"]
    assert [each["transaction_id"] for each in events] == [each.headers[HEADER] for each in responses]
    assert len({each["transaction_id"] for each in events}) == 2


def test_a_request_without_a_client_address_is_served_and_recorded(collector: Collector, short_dir: Path):
    """A3: every request over a Unix socket was a 500."""
    uds = short_dir / "server.sock"
    with served(collector, short_dir, uds) as server:
        transport = httpx.HTTPTransport(uds=str(uds))
        with httpx.Client(transport=transport, base_url="http://example.org") as client:
            response = client.get("/answer")
            event = Site(server, collector, client).event("/answer")

    assert response.status_code == event["response"]["status"] == 200
    assert "ip_address" not in event["request"]


def test_an_unhandled_exception_is_recorded(fresh: Site):
    """A4: the client saw a 500, Moesif nothing."""
    assert fresh.client.get("/boom").status_code == 500

    event = fresh.event("/boom")
    assert event["response"]["status"] == 500
    assert event["metadata"]["moesif"] == {"ending": "failed", "error": "RuntimeError"}


def test_an_endless_stream_whose_client_leaves_is_recorded_and_costs_no_memory(fresh: Site):
    """A5: no event, and every byte that was streamed stayed in memory."""
    worker = psutil.Process(fresh.server.pid)
    fresh.client.get("/answer")
    fresh.event("/answer")
    before, taken = worker.memory_info().rss, 0
    with fresh.client.stream("GET", "/endless") as response:
        for part in response.iter_raw():
            taken += len(part)
            if taken > 64 * MIB:
                break
        grown = worker.memory_info().rss - before

    event = fresh.event("/endless")
    assert event["metadata"]["moesif"]["ending"] == "disconnected"
    note = event["metadata"]["moesif"]["response_body"]
    assert note["cut_at_bytes"] == MAX_BODY_BYTES
    assert note["size_bytes"] >= taken
    assert grown < 16 * MIB


def test_an_upload_reaches_the_application_while_it_is_under_way(fresh: Site):
    """A7: the application got its first byte after the client's last."""
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with closing(connection_to(fresh.server)) as connection:
        connection.sendall(head)
        for number in range(5):
            part = b"part %d" % number
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            answered(connection, until=part)
        connection.sendall(b"0\r\n\r\n")
        answered(connection, until=b"0\r\n\r\n")

    expected = b"".join(b"part %d" % number for number in range(5))
    assert fresh.event("/echo")["request"]["body"] == as_base64(expected)


def test_a_gzip_bomb_is_stored_as_it_came_and_other_codings_are_read(fresh: Site):
    """A8: 29 kB became 40 MB of text on the event loop, and JSON in gzip base64."""
    gzipped = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert len(BOMB) < 30_000
    fresh.client.post("/answer", content=BOMB, headers=gzipped)
    fresh.client.post("/answer", content=gzip.compress(b'{"a": 1}'), headers=gzipped)
    fresh.client.post("/answer", content=b' \r\n{"b": 2}', headers={"Content-Type": "application/json"})

    bomb, *others = fresh.events("/answer", 3)
    assert bomb["request"]["body"] == as_base64(BOMB)
    assert bomb["metadata"]["moesif"]["request_body"] == {"undecoded": "too_large"}
    assert [each["request"]["body"] for each in others] == [{"a": 1}, {"b": 2}]


def test_a_forwarding_header_that_is_no_address_costs_no_event(fresh: Site):
    """A9: "evil" became four bytes, which no JSON encoder takes: its whole batch was dropped."""
    evil = "192.0.2.5"
    for number in range(10):
        headers = dict.fromkeys(FORWARDING_HEADERS, "evil") if number == 4 else {"X-Forwarded-For": evil}
        fresh.client.get("/answer", headers=headers)

    events = fresh.events("/answer", 10)
    addresses = [each["request"]["ip_address"] for each in events]
    assert sorted(addresses) == ["127.0.0.1", *[evil] * 9]
    assert fresh.collector.store.counts().received == 10


def test_a_slow_streams_time_is_that_of_its_last_byte(fresh: Site):
    """A11: it was that of its headers, a millisecond after the request's."""
    fresh.client.get("/slow")

    event = fresh.event("/slow")
    began, ended = (datetime.fromisoformat(event[side]["time"]) for side in ("request", "response"))
    assert (ended - began).total_seconds() >= 0.29


def test_what_comes_twice_is_recorded_twice(fresh: Site):
    """A12: one of two Set-Cookie was kept, and the last of a form's fields of one name."""
    fresh.client.get("/cookies")
    fresh.client.post("/answer", data={"tag": ["a", "b"], "x": "1"})
    fresh.client.post("/answer", data={"tag": ["c", "d"]}, files={"file": ("f.txt", b"abc")})

    set_cookie = fresh.event("/cookies")["response"]["headers"]["set-cookie"]
    assert "first=1" in set_cookie
    assert "second=2" in set_cookie
    form, multipart = [each["request"]["body"] for each in fresh.events("/answer", 2)]
    assert form == {"tag": ["a", "b"], "x": "1"}
    assert multipart["tag"] == ["c", "d"]


def test_a_token_in_the_url_safe_alphabet_names_its_user(fresh: Site):
    """A15: where its payload had a ``-`` or ``_``, nobody had called."""
    payload = base64url({"sub": "ann", "note": "<<???>>~~~"})
    assert "-" in payload
    assert "_" in payload
    token = ".".join([base64url({"alg": "none"}), payload, "signature"])
    fresh.client.get("/answer", headers={"Authorization": f"Bearer {token}"})

    assert fresh.event("/answer")["user_id"] == "ann"


@pytest.mark.parametrize(
    ("path", "headers", "address"),
    [
        ("/answer", {"X-Forwarded-For": "[2001:db8::1]:1234"}, "2001:db8::1"),
        ("/answer", {"Forwarded": 'for="[2001:db8::2]:1234";proto=https'}, "2001:db8::2"),
        ("/proxied/answer", {"X-Client-IP": "192.0.2.66"}, "127.0.0.1"),
        ("/proxied/answer", {"X-Forwarded-For": "192.0.2.66, 203.0.113.7"}, "203.0.113.7"),
    ],
    ids=["with a port", "RFC 7239", "X-Client-IP", "behind a proxy"],
)
def test_the_clients_address_is_what_a_trusted_proxy_says(
    fresh: Site, path: str, headers: Mapping[str, str], address: str
):
    """A16: anyone's X-Client-IP was believed behind any proxy; ports and RFC 7239 were not understood."""
    fresh.client.get(path, headers=headers)

    assert fresh.event(path)["request"]["ip_address"] == address


def test_numbers_that_json_does_not_have_cost_no_event(fresh: Site):
    """B8: a client's NaN was passed on as a bare NaN, which a strict collector refuses with its batch."""
    bodies = (b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": 1}')
    for content in bodies:
        fresh.client.post("/answer", content=content, headers={"Content-Type": "application/json"})

    events = fresh.events("/answer", len(bodies))
    assert [each["request"]["body"]["a"] for each in events] == [None, None, None, 1]
    assert fresh.collector.store.counts().received == len(bodies)


def test_the_application_runs_in_the_task_and_context_of_its_request(tmp_path: Path):
    """A18: BaseHTTPMiddleware runs it in a task of its own, whose context variables nobody else sees."""
    worker, seen = OneWorker(tmp_path), []
    inside: contextvars.ContextVar[str] = contextvars.ContextVar("inside")

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        seen.append(asyncio.current_task())
        inside.set("set by the application")
        await PlainTextResponse("x", background=BackgroundTask(after))(scope, receive, send)

    async def after() -> None:
        seen.append(len(worker.events))

    async def main() -> None:
        await ask(worker.wrap(app), "GET", "/")
        seen.append(asyncio.current_task())
        seen.append(inside.get())

    asyncio.run(main())

    task, events_before_background_tasks, same_task, value = seen
    assert task is same_task
    assert events_before_background_tasks == 1
    assert value == "set by the application"


def test_nothing_of_starlette_is_needed_to_capture():
    """A18: a private class of Starlette's was imported, which may be gone with any release."""
    script = "import sys, moesifasgi.middleware; sys.exit('starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30).returncode == 0
    source = "\n".join(file.read_text() for file in PACKAGE.rglob("*.py"))
    assert "starlette.middleware" not in source
    assert "import _" not in "\n".join(line for line in source.splitlines() if "starlette" in line)


def base64url(claims: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def as_base64(raw: bytes) -> str:
    return b64encode(raw).decode()

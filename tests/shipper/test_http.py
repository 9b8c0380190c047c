"""The HTTP client against servers that answer badly, on real sockets."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from moesifasgi.shipper.http import MAX_RESPONSE_BYTES, Http, NoAnswer, Timeouts

Answering = Callable[[socket.socket], None]
QUICK = Timeouts(connect_s=1.0, read_s=1.0, total_s=0.3)


def read_request(connection: socket.socket) -> bytes:
    """One whole request; nothing at the end of the connection."""
    data = connection.recv(65536)
    while data and not _is_whole(data):
        data += connection.recv(65536)
    return data


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    # A TLS greeting is no HTTP, and whole as it is.
    return data[:1] == b"\x16" or (bool(end) and len(body) == int(length[1] if length else 0))


class OneServer:
    """Accepts connections and lets a function answer each."""

    def __init__(self, answer: Answering) -> None:
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answer = answer
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in [self._accepting, *self._threads]:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while read_request(connection):
                self._answer(connection)


@pytest.fixture
def served() -> Iterator[Callable[[Answering], OneServer]]:
    with contextlib.ExitStack() as stack:

        def serve(answer: Answering) -> OneServer:
            server = OneServer(answer)
            stack.callback(server.close)
            return server

        yield serve


@pytest.fixture
def http() -> Iterator[Http]:
    with contextlib.closing(Http(timeouts=QUICK)) as made:
        yield made


def drip(head: bytes) -> Answering:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            time.sleep(0.05)
            connection.sendall(b"x")

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda connection: None, id="never answers"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nX-Long: "), id="drips a header"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), id="drips the body"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n\r\n"), id="drips a body without an end"),
    ],
)
def test_the_total_deadline_holds_whatever_the_server_does(served, http, answer):
    """B4: a collector that never answers must not hold a thread."""
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"no answer within 0\.3 s"):
        http.post(served(answer).url, b"body", {})
    assert 0.25 < time.monotonic() - began < 0.9


def test_the_deadline_holds_in_a_tls_handshake(served, http):
    """The server takes the greeting and never says its own."""
    server = served(lambda connection: None)
    with pytest.raises(NoAnswer, match=r"no answer within 0\.3 s"):
        http.post(server.url.replace("http:", "https:"), b"body", {})


def test_a_late_deadline_does_not_touch_the_next_request(served, http):
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
    server = served(lambda connection: connection.sendall(answer))
    until = time.monotonic() + 2.5 * QUICK.total_s
    while time.monotonic() < until:
        assert http.post(server.url, b"body", {}).status == 201
    assert server.accepted == 1


def test_close_cuts_off_what_is_under_way(served):
    http = Http(timeouts=Timeouts(total_s=30.0))
    failed = threading.Event()

    def post() -> None:
        with contextlib.suppress(NoAnswer):
            http.post(server.url, b"body", {})
        failed.set()

    asked = threading.Event()
    server = served(lambda connection: asked.set())
    threading.Thread(target=post, daemon=True).start()
    assert asked.wait(5)
    http.close()
    http.close()
    assert failed.wait(5)


def test_of_a_long_answer_only_the_beginning_is_read(served, http):
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9000000\r\n\r\n"
    server = served(lambda connection: connection.sendall(head + b"x" * 9_000_000))
    assert http.post(server.url, b"body", {}).body == b"x" * MAX_RESPONSE_BYTES


def test_redirects_are_not_followed(served, http):
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    assert http.post(served(lambda connection: connection.sendall(head)).url, b"", {}).status == 302


def test_neither_netrc_credentials_nor_cookies_are_used(served, http, tmp_path, monkeypatch):
    """What the user keeps for other programs does not go to the collector."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login l password p\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for _ in range(2):
                seen.append(read_request(connection).lower())
                connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert [http.get(url, {}).status for _ in range(2)] == [200, 200]
    thread.join(5)
    listener.close()
    assert not any(b"authorization:" in one or b"cookie:" in one for one in seen)


def test_a_proxy_setting_wins_over_the_environment(served, monkeypatch):
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    ours, theirs = (served(lambda connection: connection.sendall(answer)) for _ in range(2))
    monkeypatch.setenv("HTTP_PROXY", theirs.url)
    monkeypatch.setenv("http_proxy", theirs.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    for proxy, used in ((ours.url, ours), (None, theirs)):
        with contextlib.closing(Http(proxy=proxy, timeouts=QUICK)) as http:
            assert http.post("http://collector.invalid/", b"", {}).status == 201
        assert used.accepted == 1


@pytest.mark.parametrize(
    ("url", "ca_bundle", "reason"),
    [
        ("http://127.0.0.1:1/", None, "the connection failed"),
        ("nonsense", None, "the address is not valid"),
        (
            "https://127.0.0.1:1/",
            "/nowhere/ca.pem",
            "CA bundle /nowhere/ca.pem: expected a file, found nothing",
        ),
    ],
)
def test_every_fault_is_one_exception_with_a_reason(url, ca_bundle, reason):
    http = Http(ca_bundle=ca_bundle, timeouts=QUICK)
    with contextlib.closing(http), pytest.raises(NoAnswer, match=reason):
        http.post(url, b"", {})


def test_a_header_that_cannot_be_sent_is_no_answer(http):
    with pytest.raises(NoAnswer):
        http.post("http://127.0.0.1:1/", b"", {"X-Moesif-Application-Id": "a\nb"})

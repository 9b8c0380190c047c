"""One request for a part of a policy: what it carries, and what of an answer is believed."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgpack
import pytest

from moesifasgi.shipper.freshness import Failed
from moesifasgi.shipper.http import Http
from moesifasgi.shipper.policy_request import MAX_TAG_CHARS, Fetched, Part, fetch
from moesifasgi.version import VERSION
from moesifasgi.wire.application import Application
from moesifasgi.wire.policy_document import MAX_PART_BYTES

A = "a" * 60
Ask = Callable[..., Fetched | Failed]


class Served:
    """A server that answers always the same, and keeps what it was asked."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.path, served.headers = self.path, dict(self.headers)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Not of interest."""

        self.path, self.headers = "", dict[str, str]()
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:

        def made(body: bytes = b"{}", status: int = 200, **headers: str) -> Served:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return stack.enter_context(closing(Served(status, named, body)))

        yield made


def ask(served: Served, part: Part = Part.CONFIG, known_tag: str | None = None, **settings: Any) -> Any:
    application = Application(A, base_uri=f"{served.url}/proxied/", **settings)
    with closing(Http()) as http:
        return fetch(http, application, part, known_tag, 0.0)


def test_a_request_says_who_asks_for_what(serve: Callable[..., Served]) -> None:
    served = serve()
    ask(served, user_agent_suffix="shop/2")
    assert served.path == "/proxied/v1/config"
    assert served.headers["X-Moesif-Application-Id"] == A
    assert served.headers["User-Agent"] == f"moesifasgi/{VERSION} shop/2"
    assert "If-None-Match" not in served.headers


def test_a_known_tag_is_named(serve: Callable[..., Served]) -> None:
    served = serve(status=304)
    assert ask(served, Part.RULES, "t1") == Fetched(None, "t1")
    assert served.path == "/proxied/v1/rules"
    assert served.headers["If-None-Match"] == '"t1"'


def test_a_304_that_nobody_asked_for_is_no_answer(serve: Callable[..., Served]) -> None:
    assert isinstance(ask(serve(status=304)), Failed)


def test_each_part_has_its_own_tag(serve: Callable[..., Served]) -> None:
    tags = {"X_Moesif_Config_ETag": "c", "X_Moesif_Rules_Tag": "r"}
    assert ask(serve(b"{}", **tags)).tag == "c"
    assert ask(serve(b"[]", **tags), Part.RULES).tag == "r"


@pytest.mark.parametrize("tag", ["", "x" * (MAX_TAG_CHARS + 1)])
def test_a_tag_that_is_none_counts_for_none(serve: Callable[..., Served], tag: str) -> None:
    assert ask(serve(X_Moesif_Config_ETag=tag)).tag is None


def test_an_answer_may_be_compressed(serve: Callable[..., Served]) -> None:
    body = gzip.compress(b'{"sample_rate": 7}')
    answer = ask(serve(body, Content_Encoding="gzip"))
    assert msgpack.unpackb(answer.packed) == {"sample_rate": 7}


def test_a_gzip_bomb_is_refused(serve: Callable[..., Served]) -> None:
    body = gzip.compress(b'{"a":"' + bytes(3 * MAX_PART_BYTES) + b'"}')
    assert len(body) < MAX_PART_BYTES
    assert "too_large" in ask(serve(body, Content_Encoding="gzip")).reason


@pytest.mark.parametrize(("size", "usable"), [(MAX_PART_BYTES, True), (MAX_PART_BYTES + 1, False)])
def test_an_answer_may_be_so_long_and_no_longer(
    serve: Callable[..., Served], size: int, usable: bool
) -> None:
    assert isinstance(ask(serve(b"{}".ljust(size))), Fetched) is usable


@pytest.mark.parametrize(
    "body", [b'{"a": NaN}', b'{"a": "\\ud800"}', b"\xff\xfe{\x00}\x00", b"{} {}", b'{"a": 1,}']
)
def test_what_only_looks_like_json_is_refused(serve: Callable[..., Served], body: bytes) -> None:
    assert ask(serve(body)) == Failed("the answer cannot be used: it is no JSON")


@pytest.mark.parametrize(
    ("status", "lasting"), [(401, True), (402, True), (403, True), (404, True), (400, False), (500, False)]
)
def test_only_some_refusals_last(serve: Callable[..., Served], status: int, lasting: bool) -> None:
    assert ask(serve(status=status)).lasting is lasting


def test_a_retry_after_is_told(serve: Callable[..., Served]) -> None:
    assert ask(serve(status=503, Retry_After="7")).after_s == 7.0

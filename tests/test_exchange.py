"""ASGI messages in, a Record out: every way a request and its response can go, message by message."""

from collections.abc import Iterator
from typing import Any

import pytest

from moesifasgi.body_tap import BodyTap
from moesifasgi.event.record import Ending, Record
from moesifasgi.exchange import Exchange, message_as_seen

ID = "0b9a2d4e-0000-4000-8000-000000000001"
Message = dict[str, Any]


def scope(**more: Any) -> Message:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"q=1",
        "root_path": "",
        "headers": [(b"host", b"example.org"), (b"x-twice", b"1"), (b"x-twice", b"2")],
        "server": ("10.0.0.1", 443),
        "client": ("192.0.2.7", 40_000),
        **more,
    }


def exchange_of(limit: int | None = 100, **more: Any) -> Exchange:
    return Exchange(scope(**more), ID, 1.5, limit, limit)


def request(body: Any = b"", more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def start(status: int = 200, headers: Any = (), **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: Any = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


DISCONNECT = {"type": "http.disconnect"}
EARLY_HINTS = {"type": "http.response.early_hints", "links": []}
INFORMATIONAL = {"type": "http.response.informational", "status": 103, "headers": [(b"link", b"x")]}
PUSH = {"type": "http.response.push", "path": "/style.css", "headers": []}
PATHSEND = {"type": "http.response.pathsend", "path": "/srv/file"}
ZEROCOPY = {"type": "http.response.zerocopysend", "file": 3}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}


def sent(exchange: Exchange, *messages: Message) -> list[int]:
    """Give these to the exchange; returns at which of them the response was over."""
    return [index for index, message in enumerate(messages) if exchange.sent(message)]


COMPLETE: dict[str, tuple[list[Message], bytes | None, int]] = {
    "one body": ([start(), body(b"hello")], b"hello", 5),
    "no body": ([start(204), body()], b"", 0),
    "a body message without a body": ([start(), {"type": "http.response.body"}], b"", 0),
    "many chunks": ([start(), *[body(b"ab", more=True)] * 9, body(b"c")], b"ab" * 9 + b"c", 19),
    "an empty last chunk": ([start(), body(b"ab", more=True), body()], b"ab", 2),
    "server-sent events": ([start(), *[body(b"data: 1\n\n", more=True)] * 3, body()], b"data: 1\n\n" * 3, 27),
    "early hints first": ([EARLY_HINTS, INFORMATIONAL, start(), body(b"x")], b"x", 1),
    "a push between": ([start(), PUSH, body(b"x")], b"x", 1),
    "a path": ([start(), PATHSEND], None, 0),
    "a file descriptor": ([start(), {**ZEROCOPY, "more_body": True}, ZEROCOPY], None, 0),
    "trailers": ([start(trailers=True), body(b"x"), TRAILERS], b"x", 1),
    "trailers in two": (
        [start(trailers=True), body(), {**TRAILERS, "more_trailers": True}, TRAILERS],
        b"",
        0,
    ),
    "a path and trailers": ([start(trailers=True), PATHSEND, TRAILERS], None, 0),
}


@pytest.mark.parametrize(("messages", "expected", "size"), COMPLETE.values(), ids=COMPLETE.keys())
def test_a_response_is_over_with_its_last_message_and_not_before(
    messages: list[Message], expected: bytes | None, size: int
):
    exchange = exchange_of()

    assert sent(exchange, *messages) == [len(messages) - 1]
    record = exchange.record(2.0)
    assert (record.ending, record.response_body, record.response_body_size) == (
        Ending.COMPLETE,
        expected,
        size,
    )
    assert exchange.finished
    assert record.error is None


FROM_A_FILE = {
    "a path": (exchange_of, [PATHSEND], True),
    "descriptors": (exchange_of, [{**ZEROCOPY, "more_body": True}, ZEROCOPY], True),
    "a part of it": (exchange_of, [body(b"part", more=True), PATHSEND], True),
    "bytes": (exchange_of, [body(b"all")], False),
    "not to be recorded": (lambda: exchange_of(None), [PATHSEND], False),
    "HEAD": (lambda: exchange_of(method="HEAD"), [PATHSEND], False),
}


@pytest.mark.parametrize(("made", "messages", "unseen"), FROM_A_FILE.values(), ids=FROM_A_FILE.keys())
def test_a_body_that_the_server_reads_itself_is_said_to_be_unseen(made: Any, messages: Any, unseen: bool):
    exchange = made()
    sent(exchange, start(), *messages)

    assert exchange.record(2.0).response_unseen is unseen


def test_what_comes_after_the_end_changes_nothing():
    exchange = exchange_of()
    sent(exchange, start(200), body(b"all"))

    assert sent(exchange, body(b"more"), start(500), body(b"again", more=True), TRAILERS) == []
    exchange.received(DISCONNECT)
    record = exchange.record(2.0)
    assert (record.status, record.response_body, record.ending) == (200, b"all", Ending.COMPLETE)


def test_the_record_has_what_the_scope_said():
    record = exchange_of().record(2.5)

    assert record == Record(
        transaction_id=ID,
        started_at=1.5,
        ended_at=2.5,
        method="POST",
        scheme="https",
        http_version="1.1",
        path="/a b",
        raw_path=b"/a%20b",
        root_path="",
        query_string=b"q=1",
        server=("10.0.0.1", 443),
        client=("192.0.2.7", 40_000),
        request_headers=[(b"host", b"example.org"), (b"x-twice", b"1"), (b"x-twice", b"2")],
        request_body=b"",
        request_body_size=0,
        request_complete=False,
        status=500,
        response_headers=[],
        response_body=b"",
        response_body_size=0,
        ending=Ending.ABANDONED,
    )


@pytest.mark.parametrize("absent", ["client", "server", "raw_path", "root_path", "scheme", "http_version"])
@pytest.mark.parametrize("how", ["missing", "None"])
def test_a_scope_without_what_is_optional_makes_a_record(absent: str, how: str):
    """A3: a server on a Unix socket knows no client address."""
    poorer = scope(**({absent: None} if how == "None" else {}))
    if how == "missing":
        del poorer[absent]
    exchange = Exchange(poorer, ID, 1.0, 10, 10)
    sent(exchange, start(), body(b"x"))

    record = exchange.record(2.0)
    assert record.status == 200
    if absent in ("client", "server", "raw_path"):
        assert getattr(record, absent) is None


def test_a_unix_sockets_server_address_is_kept():
    assert exchange_of(server=["/run/app.sock", None]).record(2.0).server == ("/run/app.sock", None)


def test_a_mount_that_rewrites_the_scope_does_not_change_the_record():
    shared = scope(root_path="/proxy", path="/proxy/api/users")
    exchange = Exchange(shared, ID, 1.0, 10, 10)
    shared["root_path"] = "/proxy/api"
    shared["path"] = "/users"

    record = exchange.record(2.0)
    assert (record.root_path, record.path) == ("/proxy", "/proxy/api/users")


def test_whatever_an_application_writes_into_the_scope_the_record_has_what_the_server_gave():
    """A middleware inside that rewrites URLs, or adds a credential of its own, is not the client."""
    shared = scope()
    expected = Exchange(scope(), ID, 1.0, 10, 10).record(2.0)
    exchange = Exchange(shared, ID, 1.0, 10, 10)
    shared["headers"].append((b"authorization", b"Bearer internal"))
    shared |= {
        "raw_path": b"/new",
        "query_string": b"added=internal",
        "scheme": "http",
        "http_version": "2",
        "method": "GET",
        "server": ("internal", 1),
        "client": ("internal", 2),
    }

    assert exchange.record(2.0) == expected


@pytest.mark.parametrize("address", ["client", "server"])
def test_an_address_that_is_a_list_is_copied(address: str):
    shared = scope(**{address: ["192.0.2.7", 1]})
    exchange = Exchange(shared, ID, 1.0, 10, 10)
    shared[address][0] = "internal"

    assert getattr(exchange.record(2.0), address) == ("192.0.2.7", 1)


def test_request_headers_that_can_be_read_once_are_left_to_the_application():
    headers = iter([(b"a", b"1"), (b"b", b"2")])
    exchange = exchange_of(headers=headers)

    assert next(headers) == (b"a", b"1")
    assert exchange.record(2.0).request_headers == [(b"b", b"2")]


@pytest.mark.parametrize("identified", [True, False])
def test_what_lies_outside_does_not_change_what_was_seen(identified: bool):
    """A compressing middleware outside adds headers to the same list, a footer says that more follows."""
    exchange = exchange_of()
    messages = [
        start(200, [(b"a", b"1")], trailers=True),
        body(b"own"),
        {**TRAILERS, "headers": [(b"t", b"1")]},
    ]
    over = []
    for message in messages:
        is_start = message["type"] == "http.response.start"
        passed = exchange.starting(message, identified=identified) if is_start else message
        seen = message_as_seen(passed)
        for name in ("headers", "body"):
            if name in passed:
                passed[name] += type(passed[name])(
                    [(b"added", b"outside")] if name == "headers" else b"outside"
                )
        passed |= {
            "status": 500,
            "more_body": True,
            "more_trailers": True,
            "trailers": False,
            "type": "other",
        }
        over.append(exchange.sent(seen))

    record = exchange.record(2.0)
    own = [(b"x-moesif-transaction-id", ID.encode())] if identified else []
    assert over == [False, False, True]
    assert (record.status, record.response_body) == (200, b"own")
    assert record.response_headers == [(b"a", b"1"), *own, (b"t", b"1")]


def test_duplicate_headers_are_kept_in_order():
    """A12: one of two Set-Cookie headers was lost."""
    cookies = [(b"set-cookie", b"a=1"), (b"x", b"y"), (b"set-cookie", b"b=2")]
    exchange = exchange_of()
    sent(exchange, start(200, cookies), body())

    assert exchange.record(2.0).response_headers == cookies


def test_trailers_follow_the_headers_and_the_applications_list_stays_as_it_was():
    headers = [(b"a", b"1")]
    exchange = exchange_of()
    sent(exchange, {**start(trailers=True), "headers": headers}, body(), TRAILERS)

    assert exchange.record(2.0).response_headers == [(b"a", b"1"), (b"x-sum", b"1")]
    assert headers == [(b"a", b"1")]


@pytest.mark.parametrize("identified", [True, False])
def test_headers_from_a_generator_reach_server_and_record(identified: bool):
    def headers() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"1"

    exchange = exchange_of()
    message = exchange.starting({**start(), "headers": headers()}, identified=identified)
    for_the_server = list(message["headers"])
    sent(exchange, message, body())

    assert for_the_server[0] == (b"a", b"1")
    assert exchange.record(2.0).response_headers == for_the_server


def test_the_id_is_added_to_a_copy_of_the_message():
    original = start(200, [(b"a", b"1")])
    exchange = exchange_of()

    identified = exchange.starting(original, identified=True)

    assert identified["headers"] == [(b"a", b"1"), (b"x-moesif-transaction-id", ID.encode())]
    assert original == start(200, [(b"a", b"1")])
    assert exchange.starting(original, identified=False) is original


@pytest.mark.parametrize("name", [b"x-moesif-transaction-id", b"X-Moesif-Transaction-Id"])
def test_an_applications_own_id_gets_no_second_one_beside_it(name: bytes):
    own = [(name, b"theirs")]

    assert exchange_of().starting(start(200, own), identified=True)["headers"] == own


@pytest.mark.parametrize(
    ("limit", "kept"), [(1, b"a"), (3, b"abc"), (4, b"abcd"), (5, b"abcde"), (6, b"abcdef"), (7, b"abcdef")]
)
def test_a_body_is_cut_exactly_at_the_limit_and_its_size_is_true(limit: int, kept: bytes):
    """A5: an endless stream kept every byte."""
    exchange = exchange_of(limit)
    for message in (request(b"ab", more=True), request(b"cd", more=True), request(b"ef")):
        exchange.received(message)
    sent(exchange, start(), body(b"abcd", more=True), body(b"ef"))

    record = exchange.record(2.0)
    assert (record.request_body, record.request_body_size) == (kept, 6)
    assert (record.response_body, record.response_body_size) == (kept, 6)


def test_a_limit_of_nothing_keeps_an_empty_body_and_no_recording_keeps_none():
    for limit, expected in ((0, b""), (None, None)):
        exchange = exchange_of(limit)
        exchange.received(request(b"secret"))
        sent(exchange, start(), body(b"secret"))

        record = exchange.record(2.0)
        assert (record.request_body, record.response_body) == (expected, expected)
        assert (record.request_body_size, record.response_body_size) == (6, 6)


@pytest.mark.parametrize("mutable", [bytearray(b"before"), memoryview(bytearray(b"before"))])
def test_a_buffer_that_the_application_uses_again_is_copied(mutable: Any):
    exchange = exchange_of()
    sent(exchange, start(), body(mutable, more=True))
    mutable[:6] = b"after!"
    sent(exchange, body())

    assert exchange.record(2.0).response_body == b"before"


def test_a_whole_body_in_one_chunk_is_not_copied():
    data = b"x" * 50
    tap = BodyTap(100)
    tap.add(data)

    assert tap.content() is data


def test_the_request_is_complete_with_its_last_part():
    exchange = exchange_of()
    exchange.received(request(b"a", more=True))
    assert not exchange.record(2.0).request_complete

    exchange.received({"type": "http.request"})
    assert exchange.record(2.0).request_complete


class Case:
    """How an exchange ends without a last message: what it got before, the error, and what is recorded."""

    def __init__(
        self, error: BaseException | None, *, started: bool, left: bool, cancelled: bool = False
    ) -> None:
        self.error = error
        self.started = started
        self.left = left
        self.cancelled = cancelled

    def record(self) -> Record:
        exchange = exchange_of()
        if self.started:
            sent(exchange, start(201), body(b"part", more=True))
        if self.left:
            exchange.received(DISCONNECT)
        exchange.ended(self.error, cancelled=self.cancelled)
        return exchange.record(2.0)


BAD = ValueError("a secret")
ENDINGS = {
    "returned without a response": (Case(None, started=False, left=False), 500, Ending.ABANDONED, None),
    "returned in the middle": (Case(None, started=True, left=False), 201, Ending.ABANDONED, None),
    "raised before the response": (Case(BAD, started=False, left=False), 500, Ending.FAILED, "ValueError"),
    "raised in the middle": (Case(BAD, started=True, left=False), 201, Ending.FAILED, "ValueError"),
    "raised OSError": (Case(OSError(), started=False, left=False), 500, Ending.FAILED, "OSError"),
    "the client left before": (Case(None, started=False, left=True), 499, Ending.DISCONNECTED, None),
    "the client left in the middle": (Case(None, started=True, left=True), 201, Ending.DISCONNECTED, None),
    "the client left, error": (Case(BAD, started=False, left=True), 499, Ending.DISCONNECTED, "ValueError"),
    "cancelled before": (
        Case(KeyboardInterrupt(), started=False, left=False, cancelled=True),
        499,
        Ending.DISCONNECTED,
        None,
    ),
    "cancelled in the middle": (
        Case(KeyboardInterrupt(), started=True, left=False, cancelled=True),
        201,
        Ending.DISCONNECTED,
        None,
    ),
}


@pytest.mark.parametrize(("case", "status", "ending", "error"), ENDINGS.values(), ids=ENDINGS.keys())
def test_an_exchange_without_a_last_message_is_recorded_as_it_ended(
    case: Case, status: int, ending: Ending, error: str | None
):
    """A4, A5: neither an exception nor a client that left was ever recorded."""
    record = case.record()

    assert (record.status, record.ending, record.error) == (status, ending, error)


def test_a_stream_goes_on_unseen_once_the_client_has_left():
    """A5: an endless stream whose client has left ends its record with the next chunk, and only once."""
    exchange = exchange_of()
    sent(exchange, start(), body(b"1", more=True))
    exchange.received(DISCONNECT)

    assert sent(exchange, body(b"2", more=True), body(b"3", more=True), body(b"4")) == [0]
    record = exchange.record(2.0)
    assert (record.ending, record.status, record.response_body) == (Ending.DISCONNECTED, 200, b"12")


def test_a_last_message_completes_the_response_whether_the_client_left_or_not():
    exchange = exchange_of()
    exchange.client_left()

    assert sent(exchange, start(), body(b"all")) == [1]
    assert exchange.record(2.0).ending == Ending.COMPLETE


def test_a_head_response_and_its_length_stay_as_they_are():
    exchange = exchange_of(method="HEAD")
    sent(exchange, start(200, [(b"content-length", b"1000")]), body())

    record = exchange.record(2.0)
    assert (record.method, record.response_body_size) == ("HEAD", 0)
    assert record.response_headers == [(b"content-length", b"1000")]


@pytest.mark.parametrize("message", [{}, {"type": None}, {"type": "http.response.unknown"}, {"type": 5}])
def test_messages_of_no_known_type_are_ignored(message: Message):
    exchange = exchange_of()
    exchange.received(message)

    assert sent(exchange, message, start(), message, body()) == [3]

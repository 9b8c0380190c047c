"""A collector that misbehaves, as a client on a real socket sees it."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
import requests

from moesifasgi.inspector import Behaviour, Collector

PATH = "/v1/events/batch"


@contextmanager
def raw_request(collector: Collector, body: bytes, announced: int | None = None) -> Iterator[socket.socket]:
    """A connection on which one upload was sent, perhaps not all of its body."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: h\r\nX-Moesif-Application-Id: raw-1234\r\n"
        f"Content-Type: application/json\r\nContent-Length: {announced or len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def test_a_status_with_headers_and_body_is_answered_and_nothing_stored(
    client: Any, collector: Collector, event: Any
) -> None:
    """B1: what a retry must be able to meet: 503 with Retry-After, then a collector that is well again."""
    collector.behave(Behaviour(status=503, headers={"Retry-After": "7"}, body="<html>", times=1))
    answer = client.post(PATH, [event()])
    assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (503, "7", "<html>")
    assert collector.store.counts().received == 0
    assert client.post(PATH, [event()]).status_code == 201


def test_another_2xx_is_answered_after_storing(client: Any, collector: Collector, event: Any) -> None:
    collector.behave(Behaviour(status=202))
    assert client.post(PATH, [event()]).status_code == 202
    assert collector.store.counts().distinct == 1


@pytest.mark.parametrize(
    ("behaviour", "path"),
    [
        (Behaviour(status=500, path_prefix="/v1/users"), "/v1/users"),
        (Behaviour(status=500, path_prefix="/v1/config"), "/v1/config"),
        (Behaviour(status=500, application_id="another-application-5678"), PATH),
    ],
)
def test_only_the_requests_that_are_meant_are_met(
    client: Any, other_client: Any, collector: Collector, event: Any, behaviour: Behaviour, path: str
) -> None:
    collector.behave(behaviour)
    assert client.post(PATH, [event()]).status_code == 201
    assert other_client.post(path, {}).status_code == 500
    assert client.get("/inspector/summary").status_code == 200


def test_a_reset_reaches_the_client_as_a_reset(collector: Collector, event: Any) -> None:
    collector.behave(Behaviour(reset=True))
    with raw_request(collector, orjson.dumps([event()])) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert collector.store.counts().received == 0
    assert collector.store.requests() == {f"POST {PATH} reset": 1}


@pytest.mark.parametrize("after_bytes", [0, 10])
def test_a_reset_can_come_inside_the_body(collector: Collector, after_bytes: int) -> None:
    collector.behave(Behaviour(reset_after_bytes=after_bytes))
    body = b"[" * after_bytes
    with raw_request(collector, body, announced=1000) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_a_lost_reply_leaves_the_batch_stored(client: Any, collector: Collector, event: Any) -> None:
    batch = [event(), event()]
    collector.behave(Behaviour(lose_reply=True, times=1))
    with pytest.raises(requests.ConnectionError):
        client.post(PATH, batch)
    assert client.post(PATH, batch).status_code == 201
    counts = collector.store.counts()
    assert (counts.received, counts.distinct, counts.duplicates) == (4, 2, 2)


def test_a_delayed_answer_stores_only_after_the_delay(client: Any, collector: Collector, event: Any) -> None:
    collector.behave(Behaviour(delay_s=0.3))
    with ThreadPoolExecutor() as pool:
        started = time.monotonic()
        answer = pool.submit(client.post, PATH, [event()])
        assert not collector.wait_for(lambda store: store.counts().received, 0.1)
        assert answer.result().status_code == 201
        assert time.monotonic() - started >= 0.3


def test_a_dripping_answer_comes_byte_by_byte(collector: Collector, event: Any) -> None:
    """B4: a read timeout alone does not end this."""
    collector.behave(Behaviour(drip_s=0.01))
    with raw_request(collector, orjson.dumps([event()])) as connection:
        pieces = [connection.recv(1000) for _ in range(10)]
    assert b"".join(pieces).startswith(b"HTTP/1.")
    assert max(map(len, pieces)) < 10


def test_concurrent_uploads_are_counted_at_their_peak(client: Any, collector: Collector, event: Any) -> None:
    collector.behave(Behaviour(delay_s=0.2))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.post(PATH, [event()]), range(4)))
    assert collector.store.summary()["concurrent_uploads_peak"]["events"] == 4


@pytest.mark.parametrize("behaviour", [Behaviour(hang=True), Behaviour(delay_s=3600), Behaviour(drip_s=3600)])
def test_closing_releases_a_waiting_request_at_once(
    collector: Collector, event: Any, behaviour: Behaviour
) -> None:
    """B4: an exit hangs for as long as the collector does, unless the client has a deadline."""
    collector.behave(behaviour)
    with raw_request(collector, orjson.dumps([event()])) as connection:
        assert collector.wait_for(lambda store: store.summary()["concurrent_uploads_peak"]["all"], 5)
        started = time.monotonic()
        collector.close()
        assert connection.recv(1) == b""
        assert time.monotonic() - started < 1


def test_a_hanging_request_is_given_up_when_its_client_leaves(collector: Collector, event: Any) -> None:
    collector.behave(Behaviour(hang=True))
    with raw_request(collector, orjson.dumps([event()])):
        assert collector.wait_for(lambda store: store.requests() == {f"POST {PATH} hung": 1}, 5)
        assert collector.store.uploads_in_flight == 1
    assert collector.wait_for(lambda store: store.uploads_in_flight == 0, 5)
    assert collector.store.counts().received == 0


def test_closing_ends_idle_connections_and_their_threads(client: Any, collector: Collector) -> None:
    before = threading.active_count()
    client.get("/health/probe")
    assert threading.active_count() == before + 1
    collector.close()
    collector.close()
    with pytest.raises(requests.ConnectionError):
        client.get("/health/probe")


def test_a_closed_collector_comes_back_on_its_port_with_what_it_had(
    client: Any, collector: Collector, event: Any
) -> None:
    client.post(PATH, [event()])
    url = collector.url
    collector.close()
    collector.start()
    assert collector.url == url
    assert client.post(PATH, [event()]).status_code == 201
    assert collector.store.counts().distinct == 2

"""T11: what hostile clients, servers and applications do changes no response, and costs little.

The full counts are those of ``make chaos``.
"""

import asyncio
import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from campaigns.fuzzing import faults
from campaigns.hostile_requests import (
    BOMB,
    GROWTH_BYTES,
    LONGEST_HELD_S,
    MASKS,
    MAX_BODY_BYTES,
    MIB,
    SMALL,
    UPLOAD_MIB,
    Http,
    Target,
    answered_otherwise,
    large_bodies,
    target,
    upload,
    watched,
)
from lab.cpu_time import CpuTime
from lab.one_worker import OneWorker
from lab.processes import shippers_of

from moesifasgi.inspector import Collector

FUZZED = 2_000
ONCE_WRONG = (2_234, 2_304, 10_279, 10_549)
"""Seeds of exchanges in which a campaign once found a fault."""
ARRIVES_S = 10.0
SHIPPER_BYTES = 100 * MIB
JSON, GZIP = (b"content-type", b"application/json"), (b"content-encoding", b"gzip")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
MULTIPART = (b"content-type", b"multipart/form-data; boundary=x")


def test_fuzzed_exchanges_are_those_of_the_bare_application(tmp_path: Path):
    """A3: and of each there is one event, or one counter that says why not."""
    assert faults([*range(FUZZED), *ONCE_WRONG], tmp_path) == []


@pytest.fixture(scope="module", params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> Http:
    return request.param


@pytest.fixture(scope="module")
def bare(http: Http) -> Iterator[Target]:
    with target(http) as started:
        yield started


@pytest.mark.parametrize("settings", [{}, MASKS], ids=["plain", "masked"])
def test_hostile_requests_are_answered_as_without_us_and_recorded(
    bare: Target, http: Http, settings: dict[str, Any], collector: Collector, short_dir: Path
):
    """A8, A9."""
    with target(http, **watched(short_dir, collector.url, **settings)) as ours:
        assert answered_otherwise(bare, ours) == []
        held = ours.held()
        arrived = collector.wait_for(lambda store: store.counts().distinct == held["calls"], ARRIVES_S)
        (shipper,) = shippers_of(short_dir)
        shipper_bytes = shipper.memory_info().rss

    assert arrived, (held, collector.store.counts())
    assert len(SMALL) - 6 <= held["calls"] <= len(SMALL), "a server refuses some of them itself"
    assert collector.store.counts().invalid == 0
    assert held["held_s"] <= LONGEST_HELD_S
    assert shipper_bytes < SHIPPER_BYTES


def test_bodies_without_an_end_cost_no_more_memory_than_the_cap(collector: Collector, short_dir: Path):
    """A5, A7: 2 GB of upload were 2 GB of memory."""
    with target(**watched(short_dir, collector.url)) as ours:
        ours.answer(upload(1))
        before = ours.held()["peak_bytes"]
        assert large_bodies(ours) == []
        held = ours.held()
        assert collector.wait_for(lambda store: store.counts().distinct == 4, ARRIVES_S)

    notes = [each["metadata"]["moesif"] for each in collector.store.items()][1:]
    assert notes[0]["request_body"] == {"cut_at_bytes": MAX_BODY_BYTES, "size_bytes": UPLOAD_MIB * MIB}
    assert [each.get("ending") for each in notes] == [None, None, "disconnected"]
    assert held["held_s"] <= LONGEST_HELD_S
    assert held["peak_bytes"] - before < GROWTH_BYTES


def test_a_body_in_drips_costs_no_more_memory_than_the_cap(tmp_path: Path):
    """A5, A7: each drip was an object of twenty times its size."""
    drips = MAX_BODY_BYTES // 2

    async def drink(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(drips):
            await receive()
        peaks.append(tracemalloc.get_traced_memory()[1])

    async def drip() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes([120, 121]), "more_body": True}

    peaks: list[int] = []
    app = OneWorker(tmp_path).wrap(drink)
    tracemalloc.start()
    try:
        asyncio.run(app({"type": "http", "headers": []}, drip, drip))
    finally:
        tracemalloc.stop()
    assert peaks[0] < 5 * MAX_BODY_BYTES


def multipart(headers: bytes, parameters: bytes = b"", most_bytes: int = 990_000) -> bytes:
    """As many parts as are read at most."""
    part = b'--x\r\nContent-Disposition: form-data; name="a"%b\r\n%b\r\n1\r\n' % (parameters, headers)
    return part * min(most_bytes // len(part), 999) + b"--x--"


class Dense(NamedTuple):
    """A request that holds the most for its bytes."""

    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    raw_path: bytes = b"/"
    largest_body: int = MAX_BODY_BYTES


DENSE = {
    "a bomb": Dense(BOMB, (JSON, GZIP)),
    "numbers": Dense(gzip.compress(b"[" + b"1," * 5_998 + b"1]"), (JSON, GZIP)),
    "objects": Dense(b"[" + b",".join([b'{"a":"x"}'] * 2_900) + b"]", (JSON,)),
    "fields": Dense(b"{" + b",".join(b'"k%d":1' % number for number in range(5_900)) + b"}", (JSON,)),
    "surrogates": Dense(b"[" + b",".join([b'"\\ud800"'] * 5_900) + b"]", (JSON,)),
    "a form": Dense(b"&".join(b"a%d=%%41" % number for number in range(999)), (FORM,)),
    "a query in a header": Dense(headers=((b"referer", b"http://a/?" + b"a=1&" * 30_000),)),
    "a coded query in a header": Dense(headers=((b"referer", b"http://a/?" + b"%74=1&" * 10_000),)),
    "a forwarded header": Dense(headers=((b"forwarded", b"=" + b"a" * 60_000),)),
    "forwarded hops": Dense(headers=((b"forwarded", b",".join([b"=" + b"a" * 1_200] * 50)),)),
    "a form of escapes": Dense(b"a=" + b"%41" * 330_000, (FORM,), largest_body=1_000_000),
    "headers of parts": Dense(multipart(b"a:b\r\n" * 1_500), (MULTIPART,), largest_body=1_000_000),
    "parameters of parts": Dense(multipart(b"", b";a" * 500, 99_000), (MULTIPART,)),
    "a path that is none": Dense(raw_path=b"y" * 60_000),
}


def dense_cases() -> Iterator[Any]:
    for name in DENSE:
        yield pytest.param(name, {}, id=f"{name}, plain")
        yield pytest.param(name, {**MASKS, "REQUEST_QUERY_MASKS": ["token"]}, id=f"{name}, masked")


@pytest.mark.parametrize(("name", "masks"), [*dense_cases()])
def test_no_request_holds_up_the_loop(name: str, masks: dict[str, Any], tmp_path: Path):
    """A8: five seconds for 29 kB. The least of three times: a collection of garbage is not the request's."""
    dense, worker = DENSE[name], OneWorker(tmp_path)
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [*dense.headers]}

    def held_s() -> float:
        cpu = CpuTime()
        app = cpu.of(lambda inner: worker.wrap(inner, **masks, MAX_BODY_SIZE=dense.largest_body), echo)
        asyncio.run(app({**scope, "raw_path": dense.raw_path}, server_receive, server_send))
        return cpu.longest_s

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": scope["headers"]})
        await send({"type": "http.response.body", "body": message["body"]})

    async def server_receive() -> dict[str, Any]:
        return {"type": "http.request", "body": dense.body}

    async def server_send(message: Any) -> None:
        pass

    assert min(held_s() for _ in range(3)) <= LONGEST_HELD_S
    assert worker.difference == 0

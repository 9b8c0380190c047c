"""Names are resolved within a time limit, once at a time."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab.processes import eventually

from moesifasgi.shipper.http import Http, NoAnswer, Timeouts
from moesifasgi.shipper.resolving import Resolver, Unresolved


class SlowNames:
    """A resolver whose name server answers when a test lets it."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        assert self.answers.wait(30.0)
        if host == "nobody":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [("address",)]


def test_who_is_not_answered_is_told_in_time_and_the_name_is_asked_once():
    names = SlowNames()
    resolver = Resolver(names)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(resolver.require, "shop", 443, 0.2) for _ in range(8)]
    assert [type(each.exception()) for each in asked] == [Unresolved] * 8
    assert 0.2 <= time.monotonic() - began < 10.0
    assert names.asked == 1
    names.answers.set()
    eventually(lambda: not resolver.is_asking, 10.0, "the answer came")
    resolver.require("shop", 443, 10.0)
    assert names.asked == 2


def test_a_name_that_is_not_known_is_no_matter_of_time():
    names = SlowNames()
    names.answers.set()
    with pytest.raises(socket.gaierror):
        Resolver(names).require("nobody", 443, 10.0)


def test_an_unknown_name_is_no_answer_of_the_collector():
    client = Http(timeouts=Timeouts(connect_s=5.0, read_s=5.0, total_s=10.0))
    with pytest.raises(NoAnswer, match=r"the connection failed|connecting timed out"):
        client.get("http://collector.invalid/health/probe", {})
    client.close()

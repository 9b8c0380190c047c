"""One request to the collector: what it carries and what is counted of it."""

import contextlib
import threading

import pytest

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper.clients import MAX_CLIENTS, Clients, user_agent
from moesifasgi.shipper.outcome import Delivered, RetryLater, Unauthorized
from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.uploader import Uploader
from moesifasgi.version import VERSION
from moesifasgi.wire.application import Application

A, B = "a" * 60, "b" * 60
USER = b'{"user_id":"u"}'


@pytest.fixture
def told():
    return []


@pytest.fixture
def uploader(told):
    made = Uploader(on_tags=lambda *tags: told.append(tags), on_upload=lambda *timing: told.append(timing))
    with contextlib.closing(made):
        yield made


def test_a_path_and_a_trailing_slash_in_the_base_uri_are_kept_apart(uploader, collector):
    application = Application(A, base_uri=f"{collector.url}/collector/")
    assert uploader.upload(Lane(A, "users"), application, [USER]) == Delivered()
    assert collector.store.counts("users").distinct == 1


def test_two_applications_never_mix(uploader, collector):
    """B5: the published package keeps the account in a class attribute."""
    for application_id in (A, B, A):
        application = Application(application_id, base_uri=collector.url)
        uploader.upload(Lane(application_id, "users"), application, [USER])
    assert collector.store.counts("users", A).received == 2
    assert collector.store.counts("users", B).received == 1


def test_the_user_agent_names_version_and_suffix():
    """A14: the published package says None."""
    assert user_agent(Application(A)) == f"moesifasgi/{VERSION}"
    assert user_agent(Application(A, user_agent_suffix="shop/2")) == f"moesifasgi/{VERSION} shop/2"


def test_the_tags_of_an_answer_are_told(uploader, collector, told):
    """B6: so that configuration is fetched when it changed, not by the minute."""
    headers = {"X-Moesif-Config-ETag": "c1", "X-Moesif-Rules-Tag": "r1"}
    collector.behave(Behaviour(headers=headers))
    uploader.upload(Lane(A, "users"), Application(A, base_uri=collector.url), [USER])
    assert (A, "c1", "r1") in told


def test_every_request_is_counted_by_its_code(uploader, collector, told):
    application = Application(A, base_uri=collector.url)
    steps = (Behaviour(status=401), Behaviour(reset=True), Behaviour(status=201))
    collector.behave(Behaviour(sequence=steps))
    outcomes = [uploader.upload(Lane(A, "users"), application, [USER], retry=n > 0) for n in range(3)]
    assert outcomes == [
        Unauthorized(401, "401 Unauthorized"),
        RetryLater(None, "the connection failed"),
        Delivered(),
    ]
    traffic = uploader.traffic(A)
    assert traffic.requests == {"401": 1, "none": 1, "201": 1}
    assert (traffic.retries, traffic.in_flight) == (2, 0)
    assert traffic.last_success is not None
    assert [timing[0] for timing in told if len(timing) == 2] == ["401", "none", "201"]


def test_after_close_nothing_is_uploaded(uploader, collector):
    uploader.close()
    outcome = uploader.upload(Lane(A, "users"), Application(A, base_uri=collector.url), [USER])
    assert outcome == RetryLater(None, "the shipper is leaving", reached=False)


def test_ways_out_that_nobody_asks_for_any_more_are_closed():
    before = threading.active_count()
    clients = Clients()
    with contextlib.closing(clients):
        first = clients.client(Application(A, http_proxy="http://proxy:0"), 1)
        for number in range(1, MAX_CLIENTS + 1):
            clients.client(Application(A, http_proxy=f"http://proxy:{number}"), 1)
            assert clients.client(Application(A, http_proxy="http://proxy:0"), 1) is first, "in use all along"
        assert len(clients._clients) == MAX_CLIENTS
        assert threading.active_count() == before


def test_a_client_whose_thread_cannot_start_says_so_and_is_not_lost(uploader, collector, monkeypatch):
    """Without it no request would ever be cut off."""
    start, refused = threading.Thread.start, []

    def scarce(thread):
        if not refused and thread.name == "moesif-deadlines":
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    application = Application(A, base_uri=collector.url)
    with pytest.raises(RuntimeError):
        uploader.upload(Lane(A, "users"), application, [USER])
    assert uploader.upload(Lane(A, "users"), application, [USER]) == Delivered()
    assert [thread.name for thread in threading.enumerate()].count("moesif-deadlines") == 1

"""T5: a real shipper and collectors that answer badly: it waits, comes back in time, and loses nothing.

All faults happen at once, each to an application of its own, so that the longest wait is waited for once.
"""

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate_to_datetime
from itertools import pairwise
from pathlib import Path

import pytest
import trustme
from lab.counts import count_of
from lab.front import Front
from lab.processes import eventually
from lab.shipper_process import ShipperProcess, channel_to, standalone
from lab.tenants import Tenant, tenants

from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour

EVENTS = 20
"""Fewer than fill a batch: each upload has all of them."""
LEAST_WAIT_S = 0.95
"""At most one request a second while failing; the rest is for what a request takes."""
RESUMES_S = 2.0
RETRY_AFTER_S = 3
ARRIVE_S = 50.0 if count_of(1) > 1 else 25.0
HTML = "<html><body>Bad gateway</body></html>"

FAILING: dict[str, Behaviour] = {
    **{str(status): Behaviour(status=status, times=2) for status in (408, 429, 500, 502, 503, 504)},
    "html error page": Behaviour(status=502, headers={"Content-Type": "text/html"}, body=HTML, times=2),
    "redirect": Behaviour(status=302, headers={"Location": "/v1/events/batch"}, times=2),
    "reset": Behaviour(reset=True, times=2),
    "reset in the body": Behaviour(reset_after_bytes=10, times=2),
    "reply lost": Behaviour(lose_reply=True, times=2),
}
SLOW = {
    "no answer": Behaviour(hang=True, times=1),
    "never finishes its answer": Behaviour(drip_s=1.0, times=1),
}
"""10 s and 30 s: only when a campaign asks for more than the usual count."""
ODD = {
    "html page with 200": Behaviour(status=200, headers={"Content-Type": "text/html"}, body=HTML, times=1),
    "drips": Behaviour(drip_s=0.005, times=1),
}
"""Not nice, and no failure."""
BY_TIME = ("retry-after in seconds", "retry-after as a date")
REFUSED, TLS_UNKNOWN, TLS_KNOWN = "connection refused", "certificate unknown", "certificate in CA_BUNDLE"
TLS_PIPE = "pipe in place of CA_BUNDLE"
BEHAVIOURS = {**FAILING, **ODD, **(SLOW if count_of(1) > 1 else {})}


@dataclass(frozen=True)
class Stage:
    """All of it, under way."""

    shipper: ShipperProcess
    channel: UnixChannel
    tenants: dict[str, Tenant]
    ca_file: Path
    retry_at: float
    """What ``Retry-After`` said as a date, in seconds since the epoch."""

    def arrived(self, name: str) -> Tenant:
        """A tenant that has everything, exactly once after deduplication."""
        tenant = self.tenants[name]
        eventually(lambda: not tenant.missing(), ARRIVE_S, f"all events arrive in spite of {name}")
        assert tenant.collector.store.counts().distinct == EVENTS
        return tenant


@pytest.fixture(scope="module")
def stage(module_dir: Path) -> Iterator[Stage]:
    names = [*BEHAVIOURS, *BY_TIME, REFUSED, TLS_UNKNOWN, TLS_KNOWN, TLS_PIPE]
    authority, ca_file = trustme.CA(), module_dir / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    with ExitStack() as stack:
        found = stack.enter_context(tenants(names))
        for name in (TLS_UNKNOWN, TLS_KNOWN, TLS_PIPE):
            front = stack.enter_context(Front(found[name].collector, tls=tls))
            found[name].application = replace(found[name].application, base_uri=front.url)
        known = found[TLS_KNOWN]
        known.application = replace(known.application, ca_bundle=str(ca_file))
        os.mkfifo(module_dir / "pipe")
        of_a_pipe = found[TLS_PIPE]
        of_a_pipe.application = replace(of_a_pipe.application, ca_bundle=str(module_dir / "pipe"))
        for name, behaviour in BEHAVIOURS.items():
            found[name].misbehave(behaviour)
        found[REFUSED].collector.close()
        shipper = stack.enter_context(standalone(module_dir))
        channel = stack.enter_context(channel_to(shipper, *(each.application for each in found.values())))
        named = formatdate(time.time() + RETRY_AFTER_S + 1, usegmt=True)
        for name, value in zip(BY_TIME, (str(RETRY_AFTER_S), named), strict=True):
            found[name].misbehave(Behaviour(status=429, headers={"Retry-After": value}, times=1))
        for tenant in found.values():
            tenant.feed(channel, EVENTS)
        yield Stage(shipper, channel, found, ca_file, parsedate_to_datetime(named).timestamp())


def test_nobody_is_asked_more_than_once_a_second_while_the_connection_is_refused(stage):
    label = stage.tenants[REFUSED].application.label

    def attempts() -> int:
        entry = stage.shipper.status()["applications"].get(label, {"requests": {}})
        return int(entry["requests"].get("none", 0))

    eventually(lambda: attempts() >= 1, 5.0, "it is tried")
    began, before = time.monotonic(), attempts()
    eventually(lambda: attempts() >= before + 2, 10.0, "it is tried again")
    assert (time.monotonic() - began) >= LEAST_WAIT_S
    stage.tenants[REFUSED].collector.start()
    tenant = stage.arrived(REFUSED)
    assert len(tenant.asked()) == 1


def test_an_unknown_certificate_is_never_sent_an_event_and_its_authority_mends_it(stage):
    tenant = stage.tenants[TLS_UNKNOWN]
    reason = f"events of {tenant.application.label}: backing off: TLS failed"
    eventually(lambda: reason in stage.shipper.status()["reasons"], 5.0, "status says why")
    assert not tenant.asked()
    mended = replace(tenant.application, ca_bundle=str(stage.ca_file))
    with channel_to(stage.shipper, mended) as channel:
        channel.start()
        stage.arrived(TLS_UNKNOWN)


def test_a_certificate_of_an_authority_in_the_ca_bundle_is_trusted(stage):
    assert len(stage.arrived(TLS_KNOWN).asked()) == 1


def test_a_pipe_in_place_of_the_ca_bundle_is_told_and_what_replaces_it_is_trusted(stage):
    """A worker may name it; nobody writes to it. All the others have the same shipper."""
    tenant, pipe = stage.tenants[TLS_PIPE], stage.ca_file.with_name("pipe")
    failed = f"CA bundle {pipe}: expected a file, found a pipe"
    reason = f"events of {tenant.application.label}: backing off: {failed}"
    eventually(lambda: reason in stage.shipper.status()["reasons"], 20.0, "status says why")
    assert not tenant.asked()
    new = pipe.with_name("new")
    new.write_bytes(stage.ca_file.read_bytes())
    new.replace(pipe)
    assert len(stage.arrived(TLS_PIPE).asked()) == 1


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_that_says_yes_is_one(stage, name):
    assert len(stage.arrived(name).asked()) == 1


@pytest.mark.parametrize("name", [name for name in BEHAVIOURS if name not in ODD])
def test_a_failure_is_followed_by_a_wait_and_the_same_events(stage, name):
    """B1, B4: neither a status nor silence may cost a batch, nor a second one of the collector's time."""
    tenant, failures = stage.arrived(name), BEHAVIOURS[name].times or 0
    eventually(lambda: len(tenant.asked()) > failures, ARRIVE_S, "what nobody confirmed is sent again")
    asked = tenant.asked()
    assert len(asked) == failures + 1
    assert all(later.at - earlier.at >= LEAST_WAIT_S for earlier, later in pairwise(asked))


def test_a_lost_reply_costs_repeated_uploads_and_no_duplicate(stage):
    store = stage.arrived("reply lost").collector.store
    eventually(lambda: store.counts().duplicates == 2 * EVENTS, ARRIVE_S, "it is sent until it is confirmed")
    assert store.counts().distinct == EVENTS


@pytest.mark.parametrize("name", BY_TIME)
def test_the_time_that_a_retry_after_names_is_kept_to_within_two_seconds(stage, name):
    refused, taken = stage.arrived(name).asked()
    named_at = stage.retry_at if "date" in name else refused.at + RETRY_AFTER_S
    assert 0 <= taken.at - named_at <= RESUMES_S


def test_the_books_agree_whatever_the_collectors_do(stage):
    for name in (*BEHAVIOURS, *BY_TIME, TLS_KNOWN):
        stage.arrived(name)
    offered = EVENTS * len(stage.tenants)
    eventually(lambda: stage.shipper.counters()["received"] == offered, 5.0, "all of it was taken")
    counters = stage.shipper.counters()
    assert (counters["dead_lettered"], counters["dropped"], counters["difference"]) == (0, {}, 0)

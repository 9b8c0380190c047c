"""T7: one event that cannot be delivered, among a thousand that can; and a collector that refuses all."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import pytest
from lab.front import Front
from lab.processes import eventually
from lab.shipper_process import channel_to, dead_letters_in, standalone
from lab.tenants import Tenant, tenants

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.spool import KeptDeadLetter
from moesifasgi.wire.messages import Kind

BEFORE, AFTER = 333, 666
GOOD = BEFORE + AFTER
LEAST_UPLOADS = 5
"""Of a thousand events, at most two hundred each."""
EXTRA_REQUESTS = 21
PROXY_LIMIT_BYTES = 150_000
"""More than two hundred events of the corpus have when compressed."""
HALVINGS = 80
"""Of several uploads at once of two hundred each, down to single events."""
DECIDED_S = 20.0
REQUEST = {
    "time": time.strftime("%Y-%m-%dT%H:%M:%S.000", time.gmtime()),
    "uri": "https://shop.example.org/",
    "verb": "GET",
    "headers": {},
}
ID = "00000000-0000-4000-8000-000000000000"
LONE_SURROGATE = b"\xed\xa0\x80"


def packed(**fields: object) -> bytes:
    made: bytes = msgpack.packb({"transaction_id": ID, "request": REQUEST, **fields})
    return made


POISON: dict[str, tuple[str, bytes]] = {
    "refused by the collector": ("400", packed(request={})),
    "too large for a proxy": ("413", packed(metadata={"noise": Random(1).randbytes(200_000).hex()})),
    "not serialisable": ("unserialisable", b"\xc1"),
    "NaN in finished JSON": ("unserialisable", msgpack.packb(b'{"request": NaN}')),
    "lone surrogate in finished JSON": ("unserialisable", msgpack.packb(b'{"request": "\\ud800"}')),
}
"""The code of its dead letter, and what it is."""
MENDED: dict[str, tuple[Any, bytes]] = {
    "NaN": (None, packed(metadata={"x": float("nan")})),
    "bytes": ("\ufffd!", packed(metadata={"x": b"\xff!"})),
    "lone surrogate": ("\ufffd" * 3, packed(metadata={"x": "???"}).replace(b"???", LONE_SURROGATE)),
    "2 MB body": (None, packed(request={**REQUEST, "body": "b" * 2_000_000})),
}
"""What it becomes in the event's metadata, and what it is: the published package loses its batch to these."""
SYSTEMIC = "everything is refused"


@dataclass(frozen=True)
class Decided:
    """After each event has its fate, and the shipper has ended."""

    tenants: dict[str, Tenant]
    counters: dict[str, Any]
    uploads: dict[str, int]
    """By the tenant's name, as the letters."""
    letters: dict[str, list[KeptDeadLetter]]


@pytest.fixture(scope="module")
def decided(module_dir: Path) -> Iterator[Decided]:
    """A thousand events for each kind of poison, all at once, through one shipper."""
    payloads = {name: payload for name, (_, payload) in (POISON | MENDED).items()}
    with ExitStack() as stack:
        found = stack.enter_context(tenants([*payloads]))
        proxied = found["too large for a proxy"]
        front = stack.enter_context(Front(proxied.collector, max_body_bytes=PROXY_LIMIT_BYTES))
        proxied.application = replace(proxied.application, base_uri=front.url)
        shipper = stack.enter_context(standalone(module_dir))
        channel = stack.enter_context(channel_to(shipper, *(each.application for each in found.values())))
        for name, tenant in found.items():
            tenant.feed(channel, BEFORE)
            channel.offer(Kind.EVENT, tenant.key, payloads[name])
            tenant.feed(channel, AFTER)
        taken = len(found) * (GOOD + 1)
        eventually(lambda: shipper.counters()["received"] == taken, DECIDED_S, "all is taken")
        eventually(lambda: not shipper.spooled(), DECIDED_S, "all has its fate")
        counters, said = shipper.counters(), shipper.status()["applications"]
        uploads = {
            name: sum(said[tenant.application.label]["requests"].values()) for name, tenant in found.items()
        }
        shipper.terminate()
        letters = defaultdict(list)
        names = {tenant.application.application_id: name for name, tenant in found.items()}
        for letter in dead_letters_in(module_dir):
            letters[names[letter.lane.application_id]].append(letter)
        yield Decided(found, counters, uploads, dict(letters))


@pytest.mark.parametrize("name", POISON)
def test_a_poison_event_is_the_only_one_that_is_not_delivered(decided, name):
    """A9, A10, B8: one bad event costs the published package its whole batch."""
    code, payload = POISON[name]
    (kept,) = decided.letters[name]
    assert kept.letter.code == code
    assert kept.letter.payload == payload
    assert kept.letter.reason
    assert decided.tenants[name].collector.store.counts().distinct == GOOD
    assert not decided.tenants[name].missing()


@pytest.mark.parametrize("name", MENDED)
def test_what_json_cannot_say_is_mended_and_delivered(decided, name):
    becomes, _ = MENDED[name]
    tenant = decided.tenants[name]
    assert name not in decided.letters
    assert tenant.collector.store.counts().distinct == GOOD + 1
    (found,) = [item for item in tenant.collector.store.items() if item["transaction_id"] == ID]
    assert found["metadata"].get("x") == becomes


@pytest.mark.parametrize("name", POISON)
def test_finding_the_poison_takes_few_requests(decided, name):
    undisturbed = max(decided.uploads[name] for name in MENDED)
    assert LEAST_UPLOADS <= decided.uploads[name] <= undisturbed + EXTRA_REQUESTS


def test_the_books_tell_of_each_poison_event(decided):
    counters = decided.counters
    assert counters["dead_lettered"] == len(POISON)
    assert counters["delivered"] == (len(POISON) + len(MENDED)) * GOOD + len(MENDED)
    assert (counters["dropped"], counters["difference"]) == ({}, 0)


def test_a_collector_that_refuses_everything_gets_no_backlog_dead_lettered(short_dir):
    """The lane is parked instead, and all but the first few refused arrive when the collector is well."""
    with tenants([SYSTEMIC]) as found:
        tenant = found[SYSTEMIC]
        tenant.misbehave(Behaviour(status=400))
        with standalone(short_dir) as shipper:
            with channel_to(shipper, tenant.application) as channel:
                tenant.feed(channel, GOOD + 1)
                reason = (
                    f"events of {tenant.application.label}: parked: 400 Bad Request, whatever is uploaded"
                )
                eventually(lambda: reason in shipper.status()["reasons"], 10.0, "status says why")
            asked = len(tenant.asked())
            assert shipper.spooled() + shipper.counters()["dead_lettered"] == GOOD + 1
            shipper.terminate()
        assert asked <= Pace().max_refused_run + HALVINGS
        tenant.collector.behave(None)
        with standalone(short_dir) as shipper:
            eventually(lambda: not shipper.spooled(), 10.0, "the backlog is delivered")
            counters = shipper.counters()
    assert tenant.collector.store.counts().distinct == counters["delivered"]
    assert counters["delivered"] >= GOOD + 1 - (Pace().max_refused_run - 1)
    assert counters["delivered"] + counters["dead_lettered"] == GOOD + 1

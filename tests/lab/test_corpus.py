"""What is said of sizes by a corpus holds only while the corpus is what it is said to be."""

from statistics import mean

import orjson
import pytest
from lab.corpus import EVENT_BYTES, orders

from moesifasgi.inspector.schema import faults_of
from moesifasgi.shipper.payload import encode_item
from moesifasgi.wire.messages import Kind


def test_an_event_of_the_corpus_has_a_kilobyte_and_an_id_of_its_own():
    calls = list(orders(1_000))
    bodies = [encode_item(Kind.RECORD, payload) for _, payload in calls]
    events = [orjson.loads(body) for body in bodies]
    assert mean(map(len, bodies)) == pytest.approx(EVENT_BYTES, rel=0.05)
    assert [event["transaction_id"] for event in events] == [made for made, _ in calls]
    assert len({made for made, _ in calls}) == 1_000
    assert not [fault for event in events for fault in faults_of("events", event, "$")]


def test_the_same_seed_makes_the_same_ids():
    assert [made for made, _ in orders(10)] == [made for made, _ in orders(10)]
    assert {made for made, _ in orders(10)}.isdisjoint(made for made, _ in orders(10, seed=2))

"""Faults of the in-process middleware in fetching configuration and rules: none of them is here."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab.one_shipper import OneShipper
from lab.processes import eventually

from moesifasgi.inspector import Collector
from moesifasgi.shipper.freshness import Freshness, PolicyPace

RULE = {"_id": "r1", "type": "regex", "block": True, "response": {"status": 403}}


@pytest.fixture
def service(short_dir: Path, collector: Collector) -> Iterator[OneShipper]:
    with ExitStack() as stack:
        made = OneShipper(short_dir, collector, stack)
        stack.enter_context(made.shipper())
        yield made


def gets(collector: Collector) -> int:
    """Requests for configuration and rules."""
    return sum(count for key, count in collector.store.requests().items() if key.startswith("GET"))


def test_many_workers_ask_the_collector_no_more_than_one(service: OneShipper, collector: Collector):
    """A21: every worker process asked for both, once a minute."""
    workers = [service.worker() for _ in range(8)]
    eventually(lambda: all(worker.in_force() for worker in workers), 5.0, "all have the policy")
    for worker in workers:
        service.upload(worker)
    assert collector.wait_for(lambda store: store.counts().distinct == 8, 5.0)

    assert gets(collector) == 2


def test_an_hour_without_changes_costs_a_dozen_checks():
    """A21: it cost each worker process sixty of each."""
    freshness, checks = Freshness(PolicyPace(), 0.0), 0
    while freshness.due_at < 3600.0:
        checks += 1
        freshness.named("tag", freshness.due_at)
        freshness.answered("tag", changed=False, now=freshness.due_at, random01=0.5)

    assert checks == 12


def test_a_changed_tag_in_the_answer_to_an_upload_is_news(service: OneShipper, collector: Collector):
    """B6: the answers' headers were thrown away."""
    worker = service.worker()
    eventually(worker.in_force, 5.0, "it has the first policy")
    collector.set_rules(None, [RULE])
    service.upload(worker)

    eventually(lambda: worker.in_force() == {"config": {}, "rules": [RULE]}, 2.0, "it has the rule")
    assert gets(collector) == 3

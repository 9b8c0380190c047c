"""T14: a shipper that is stopped with a backlog and a collector that is down keeps all for the next."""

import random

import pytest
from campaigns.t14_stop_with_backlog import BEGINS_S, DRAIN_S, EXIT_MARGIN_S, Stops, stops
from lab.counts import count_of, seed_of
from lab.processes import eventually
from lab.shipper_process import channel_to, standalone
from lab.tenants import tenants

from moesifasgi.inspector import Behaviour

BACKLOG = 10_000


@pytest.fixture(scope="module")
def found() -> Stops:
    return stops(count_of(2), BACKLOG, random.Random(seed_of()))


def test_nothing_is_deleted_by_a_stop_and_all_is_delivered_after_it(found):
    assert found.least_kept == found.captured == BACKLOG
    assert found.lost == 0


def test_a_stopped_shipper_is_gone_within_its_deadline(found):
    assert found.exit_s <= DRAIN_S + EXIT_MARGIN_S


def test_delivery_begins_within_two_seconds_of_the_start(found):
    assert found.began_s <= BEGINS_S


def test_a_shipper_that_knows_of_the_outage_is_gone_at_once(short_dir):
    with tenants(["down"]) as by_name, standalone(short_dir) as shipper:
        tenant = by_name["down"]
        tenant.misbehave(Behaviour(status=503))
        with channel_to(shipper, tenant.application) as channel:
            tenant.feed(channel, 100)
            eventually(lambda: not shipper.status()["healthy"], 5.0, "it has met the outage")
        assert shipper.terminate() < EXIT_MARGIN_S

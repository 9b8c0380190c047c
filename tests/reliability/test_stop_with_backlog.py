"""T14: a shipper that is stopped with a backlog and a collector that is down keeps all for the next."""

import random
import subprocess

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


def test_a_second_sigterm_ends_a_drain_that_has_begun(short_dir):
    with (
        tenants(["slow"]) as by_name,
        standalone(short_dir, configuration="drain_timeout = 600\n") as shipper,
    ):
        tenant = by_name["slow"]
        tenant.misbehave(Behaviour(hang=True))
        with channel_to(shipper, tenant.application) as channel:
            tenant.feed(channel, 100)
            eventually(lambda: shipper.status()["upload"]["in_flight"], 5.0, "uploads are under way")
            shipper.popen.terminate()
            eventually(lambda: not shipper.socket.exists(), 5.0, "it leaves")
            # Long enough that it would have gone by itself if it did not wait for the uploads.
            assert not _ends(shipper.popen, within_s=1.0)
            assert shipper.terminate() < EXIT_MARGIN_S
    with standalone(short_dir, configuration=" ") as shipper:
        assert shipper.spooled() == 100


def _ends(process: "subprocess.Popen[bytes]", within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_shipper_that_knows_of_the_outage_is_gone_at_once(short_dir):
    with tenants(["down"]) as by_name, standalone(short_dir) as shipper:
        tenant = by_name["down"]
        tenant.misbehave(Behaviour(status=503))
        with channel_to(shipper, tenant.application) as channel:
            tenant.feed(channel, 100)
            eventually(lambda: not shipper.status()["healthy"], 5.0, "it has met the outage")
        assert shipper.terminate() < EXIT_MARGIN_S

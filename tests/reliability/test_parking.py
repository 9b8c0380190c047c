"""T6: an application that the collector does not want: its uploads are parked, and nobody else notices."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from lab.counts import count_of
from lab.processes import eventually
from lab.shipper_process import ShipperProcess, channel_to, standalone
from lab.tenants import Tenant, tenants

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper.gate import Pace

STATUSES = (401, 402, 403, 404, 410)
WANTED = "wanted"
EVENTS = 100
"""Four batches: as many refusals at once as there are uploads."""
PROBED_S = Pace().probe_s + 5.0


@dataclass(frozen=True)
class Parked:
    """Five applications that are refused and one that is not, after all have had their answer."""

    directory: Path
    shipper: ShipperProcess
    tenants: dict[str, Tenant]

    @property
    def refused(self) -> list[Tenant]:
        return [self.tenants[str(status)] for status in STATUSES]


@pytest.fixture(scope="module")
def parked(module_dir: Path) -> Iterator[Parked]:
    with tenants([*map(str, STATUSES), WANTED]) as found, standalone(module_dir) as shipper:
        for status in STATUSES:
            found[str(status)].misbehave(Behaviour(status=status))
        with channel_to(shipper, *(each.application for each in found.values())) as channel:
            for tenant in found.values():
                tenant.feed(channel, EVENTS)

            def all_have_their_answer() -> bool:
                reasons = " ".join(shipper.status()["reasons"])
                return all(f"parked: {status}" in reasons for status in STATUSES)

            eventually(all_have_their_answer, 10.0, "status says why each is parked")
            for tenant in found.values():
                tenant.feed(channel, EVENTS)
            spooled = 2 * EVENTS * len(STATUSES)
            eventually(lambda: shipper.spooled() == spooled, 10.0, "what is refused is kept")
        yield Parked(module_dir, shipper, found)


def test_the_application_that_is_wanted_does_not_notice(parked):
    eventually(lambda: not parked.tenants[WANTED].missing(), 5.0, "its events arrive")


def test_status_names_each_application_and_why_it_is_parked(parked):
    found = parked.shipper.status()
    assert not found["healthy"]
    for tenant, status in zip(parked.refused, STATUSES, strict=True):
        label = tenant.application.label
        pattern = rf"events of {label}: parked: {status} "
        assert [reason for reason in found["reasons"] if re.match(pattern, reason)]
        assert found["applications"][label]["state"] == "parked"
        assert 0 < found["applications"][label]["next_attempt_in_seconds"] <= Pace().probe_s


def test_a_parked_application_is_left_alone_and_worth_one_line_in_the_log(parked):
    """B9: the published package logs each refused batch, with its answer and a traceback."""
    log = parked.shipper.log()
    for tenant, status in zip(parked.refused, STATUSES, strict=True):
        assert 1 <= len(tenant.asked()) <= tenant.application.concurrent_uploads
        assert log.count(f"{tenant.application.label}: parked ({status}") == 1
        assert tenant.application.application_id not in log


@pytest.mark.skipif(count_of(1) == 1, reason="a probe a minute: for campaigns")
@pytest.mark.timeout(200)
def test_a_probe_finds_out_that_it_is_wanted_again(parked):
    (tenant, *_), began = parked.refused, time.monotonic()
    uploads = len(tenant.asked())
    eventually(lambda: len(tenant.asked()) > uploads, PROBED_S, "it is asked for again")
    assert len(tenant.asked()) == uploads + 1
    tenant.collector.behave(None)
    eventually(lambda: not tenant.missing(), PROBED_S, "all that was kept arrives")
    assert time.monotonic() - began < 2 * PROBED_S
    assert parked.shipper.log().count(f"{tenant.application.label}: parked") == 1


def test_an_application_with_a_probe_interval_of_its_own_is_asked_for_sooner(short_dir: Path):
    with tenants(["soon"]) as found:
        tenant = found["soon"]
        tenant.misbehave(Behaviour(status=403))
        section = f'[[application]]\nid = "{tenant.application.application_id}"\nprobe_interval = 1\n'
        with (
            standalone(short_dir, configuration=section) as shipper,
            channel_to(shipper, tenant.application) as channel,
        ):
            tenant.feed(channel, 1)
            eventually(lambda: len(tenant.asked()) >= 2, 15.0, "it is asked for again")
            pauses_s = [later.at - one.at for one, later in pairwise(tenant.asked())]
            assert min(pauses_s) > 0.9
            tenant.collector.behave(None)
            eventually(lambda: not tenant.missing(), 10.0, "what was kept arrives by itself")


def test_what_was_kept_arrives_after_a_restart_with_a_collector_that_wants_it(parked):
    """The last test here: it ends the shipper that the others look at."""
    for tenant in parked.refused:
        tenant.collector.behave(None)
    parked.shipper.terminate()
    with standalone(parked.directory) as shipper:
        for tenant in parked.tenants.values():
            eventually(lambda each=tenant: not each.missing(), 10.0, "all that was kept arrives")
            counts = tenant.collector.store.counts()
            assert (counts.distinct, counts.duplicates) == (2 * EVENTS, 0)
        eventually(lambda: not shipper.spooled(), 5.0, "nothing is left")
        counters = shipper.counters()
    assert counters["delivered"] == 2 * EVENTS * len(parked.tenants)
    assert (counters["dead_lettered"], counters["dropped"], counters["difference"]) == (0, {}, 0)

"""T1, T2: SIGKILL under load, a few times; ``make chaos`` does it a hundred times."""

import random
from types import ModuleType

import pytest
from campaigns import t01_shipper_killed, t02_queue_worker_killed, t02_worker_killed
from lab.counts import count_of, seed_of

CAMPAIGNS = {
    "shipper": t01_shipper_killed,
    "worker": t02_worker_killed,
    "worker on the queue": t02_queue_worker_killed,
}


@pytest.mark.parametrize("campaign", CAMPAIGNS.values(), ids=list(CAMPAIGNS))
@pytest.mark.timeout(600)
def test_a_killed_process_costs_no_more_than_it_must(campaign: ModuleType):
    found = campaign.run(count_of(2), random.Random(seed_of()))
    assert found.holds, found
    assert found.events > 0

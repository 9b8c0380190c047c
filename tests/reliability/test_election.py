"""T12: however many workers want a shipper at once, they get one; ``make chaos`` tries it on every server."""

import random

import pytest
from campaigns import t12_election
from campaigns.t12_servers import elected
from lab.counts import count_of, seed_of
from lab.requirement import require
from lab.servers import no_container
from lab.setups import BY_NAME


@pytest.mark.timeout(1_800)
def test_workers_that_start_at_once_share_one_shipper_and_its_successor():
    found = t12_election.run(count_of(1), random.Random(seed_of()))
    assert found.holds, found


def test_servers_of_several_containers_share_one_shipper_and_its_successor_and_keep_no_dead_one():
    """Each server is the first process of its container: what is nobody's child there is its to reap."""
    require(no_container())
    found = elected(BY_NAME["uvicorn, first in a container"])
    assert found.is_sound, found

"""T12: however many workers want a shipper at once, they get one; ``make chaos`` races a hundred times."""

import random

import pytest
from campaigns import t12_election
from lab.counts import count_of, seed_of


@pytest.mark.timeout(1_800)
def test_workers_that_start_at_once_share_one_shipper_and_its_successor():
    found = t12_election.run(count_of(1), random.Random(seed_of()))
    assert found.holds, found

"""T13, its forks: a few; ``make chaos`` does a thousand."""

import random

import pytest
from campaigns import t13_forks
from lab.counts import count_of, seed_of

BUSY_S = 5.0
"""A child's first event may take so long where other tests have the machine; the campaign asks for 1 s."""


@pytest.mark.timeout(600)
def test_children_of_a_capturing_program_hang_nowhere_and_tell_each_event_once():
    found = t13_forks.run(count_of(24), random.Random(seed_of()), BUSY_S)
    assert found.holds, found

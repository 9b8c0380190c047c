"""T4: a collector that is down while events come, and its backlog; ``make chaos`` has the whole hour."""

import random

from campaigns.t04_outage import outage
from lab.counts import seed_of

BACKLOG = 5_000
LIVE_PER_SECOND = 100
ANSWERS_AFTER_S = 0.3
"""So that catching up takes a while, whatever the machine."""


def test_an_outage_costs_no_event_and_what_is_new_overtakes_its_backlog():
    """B1, B2: the published package loses each batch that meets the outage, or keeps a million in memory."""
    found = outage(BACKLOG, LIVE_PER_SECOND, random.Random(seed_of()), ANSWERS_AFTER_S)
    assert (found.lost, found.duplicates) == (0, 0)
    assert found.keeps_its_bounds, found
    assert found.late_p95_s < found.catch_up_s / 2

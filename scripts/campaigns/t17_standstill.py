"""T17: delivery that stands still is told and started afresh within a minute; an outage restarts nothing.

The times are the product's own, so a round takes six minutes.
"""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 2
"""More than one is what has the tests take the real times."""


def run(count: int, rng: random.Random) -> Finding:
    """Each fault once, and three minutes of every outage at once."""
    return finding_of("T17", "test_standstill.py", "standstills and an outage", max(COUNT, count), rng)

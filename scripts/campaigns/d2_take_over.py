"""D2: a new shipper takes over socket and spool from one that runs, under load."""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 100


def run(count: int, rng: random.Random) -> Finding:
    """``count`` upgrades, one after the other."""
    return finding_of("D2", "test_take_over.py", "hand-overs", count, rng)

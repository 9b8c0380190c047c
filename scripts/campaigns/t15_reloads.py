"""T15: the configuration is read again under load, good and bad."""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 1_000


def run(count: int, rng: random.Random) -> Finding:
    """``count`` reloads one by one, and as many as fast as they come."""
    return finding_of("T15", "test_reloads.py", "reloads", count, rng)

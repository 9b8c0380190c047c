"""T16: the wall clock jumps by a day. Nothing expires early, nothing is retried in a storm."""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 5_000


def run(count: int, rng: random.Random) -> Finding:
    """Let it jump ``count`` times while the collector fails, in each of five ways."""
    return finding_of("T16", "test_clock_jumps.py", "clock jumps of a day", count, rng)

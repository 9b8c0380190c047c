"""T20: the power fails at every frame of the log. What was acknowledged is there."""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 500


def run(count: int, rng: random.Random) -> Finding:
    """Record ``count`` histories, and let the power fail at every place of each."""
    return finding_of("T20", "test_power_loss.py", "histories cut at every frame", count, rng)

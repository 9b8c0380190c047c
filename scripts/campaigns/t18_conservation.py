"""T18: conservation as a property, over random histories of all faults in one process."""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 5_000


def run(count: int, rng: random.Random) -> Finding:
    """Live through ``count`` histories, with spools in memory and again with spools in files."""
    return finding_of("T18", "test_conservation_model.py", "random histories", count, rng)

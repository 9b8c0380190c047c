"""T8: disks that are full, files that are damaged. A flip costs its chunk at most, and is counted."""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 10_000


def run(count: int, rng: random.Random) -> Finding:
    """Turn ``count`` bits over, each in a copy of its own; the other faults are done once."""
    return finding_of("T8", "test_spool_faults.py", "bit flips", count, rng)

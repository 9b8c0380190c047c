"""T10: hostile peers. None is believed, none disturbs a worker."""

import random

from campaigns.counted_tests import finding_of
from campaigns.scene import Finding

COUNT = 10_000


def run(count: int, rng: random.Random) -> Finding:
    """Say ``count`` wrong conversations, beside a worker that goes on; the other offences are done once."""
    return finding_of("T10", "test_hostile_peers.py", "malformed conversations", count, rng)

"""T1: SIGKILL the shipper at random moments under load. Nothing may be lost; what comes twice is bounded."""

import random
import time
from dataclasses import replace

from lab.processes import shippers_of

from campaigns.scene import Finding, scene

PER_SECOND = 1_000.0
COUNT = 100
MAX_BATCHES_IN_FLIGHT, MAX_BATCH = 4, 200


def run(count: int, rng: random.Random) -> Finding:
    """Kill it ``count`` times, 0.2 to 1 s after the last one had begun to serve."""
    slowest_s = 0.0
    with scene(workers=2, per_second=PER_SECOND) as stage:
        victim = stage.shipper()
        for _ in range(count):
            time.sleep(rng.uniform(0.2, 1.0))
            victim.kill()
            killed_at = time.monotonic()
            victim = stage.shipper(other_than=victim.pid)
            slowest_s = max(slowest_s, time.monotonic() - killed_at)
        found = stage.finding(
            "T1", f"SIGKILL of the shipper, {count} times", f"replaced within {slowest_s:.2f} s"
        )
        one_shipper = len(shippers_of(stage.directory)) == 1
    bounded = found.twice_on_the_wire <= count * MAX_BATCHES_IN_FLIGHT * MAX_BATCH
    return replace(found, holds=found.holds and bounded and one_shipper)

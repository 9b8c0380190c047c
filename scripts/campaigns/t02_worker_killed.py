"""T2: SIGKILL random workers under load. Only what they had not written to their socket may be lost."""

import random
import time
from dataclasses import replace

from lab.processes import eventually, shippers_of

from campaigns.scene import Finding, scene

PER_SECOND = 1_000.0
WORKERS = 4
COUNT = 100
LOSS_WINDOW_S = 0.005
"""A healthy worker's ring holds at most so much of its traffic that the kernel does not have."""


def run(count: int, rng: random.Random) -> Finding:
    """Kill one worker ``count`` times, and wait until the server has replaced it."""
    with scene(workers=WORKERS, per_second=PER_SECOND) as stage:
        stage.shipper()
        for _ in range(count):
            eventually(stage.all_are_connected, 20.0, "all workers are served")
            time.sleep(rng.uniform(0.05, 0.2))
            before = stage.server.worker_pids()
            victim = rng.choice(before)
            next(each for each in stage.server.descendants() if each.pid == victim).kill()

            def replaced(dead: int = victim) -> bool:
                now = stage.server.worker_pids()
                return dead not in now and len(now) == WORKERS

            eventually(replaced, 20.0, "the server replaces the worker")
        allowed = count * max(1, round(LOSS_WINDOW_S * PER_SECOND / WORKERS))
        found = stage.finding(
            "T2", f"SIGKILL of a worker, {count} times", f"{stage.load.failed} requests cut off", allowed
        )
        one_shipper = len(shippers_of(stage.directory)) == 1
    return replace(found, holds=found.holds and one_shipper)

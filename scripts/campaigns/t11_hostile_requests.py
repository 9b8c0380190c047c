"""T11: hostile clients, servers, applications and hooks. Nothing that they do may change a response."""

import multiprocessing
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from campaigns.fuzzing import faults
from campaigns.hostile_requests import (
    GROWTH_BYTES,
    LONGEST_HELD_S,
    MASKS,
    MIB,
    SMALL,
    answered_otherwise,
    large_bodies,
    target,
    watched,
)
from campaigns.scene import Finding
from moesifasgi.inspector import Collector

COUNT = 100_000
PROCESSES, SEEDS_EACH, TASKS_EACH = 2, 1_000, 10
"""A process keeps what its memory channels were offered, so it is replaced now and then."""
ARRIVE_S = 30.0


class Served(NamedTuple):
    """What came of the real requests under one kind of settings."""

    faults: list[str]
    calls: int
    arrived: int
    twice: int
    held_s: float
    gap_s: float
    bare_gap_s: float


def run(count: int, rng: random.Random) -> Finding:
    """``count`` fuzzed exchanges in memory, and each hostile request to a real server, plain and masked."""
    served = [_served({}), _served(MASKS)]
    found = [fault for each in served for fault in each.faults] + _fuzzed(count, rng.randrange(1 << 40))
    held_s, gap_s, bare_gap_s = (max(figures) for figures in zip(*(each[4:] for each in served), strict=True))
    remark = (
        f"{len(found)} faults {found[:1]}, the loop held {held_s * 1e3:.1f} ms at most"
        f" (its longest gap {gap_s * 1e3:.0f} ms, without us {bare_gap_s * 1e3:.0f} ms)"
    )
    calls, arrived = sum(each.calls for each in served), sum(each.arrived for each in served)
    return Finding(
        "T11",
        f"{count} fuzzed exchanges, {2 * len(SMALL) + 6} hostile requests",
        calls,
        calls - arrived,
        sum(each.twice for each in served),
        remark,
        holds=not found and calls == arrived,
    )


def _fuzzed(count: int, first: int) -> list[str]:
    ranges = [range(first + at, first + min(at + SEEDS_EACH, count)) for at in range(0, count, SEEDS_EACH)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, spawn, max_tasks_per_child=TASKS_EACH) as pool:
        return [fault for found in pool.map(_faults, ranges) for fault in found]


def _faults(seeds: range) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="moesif-chaos-") as directory:
        return faults(seeds, Path(directory))


def _served(settings: dict[str, Any]) -> Served:
    with (
        tempfile.TemporaryDirectory(prefix="moesif-chaos-") as directory,
        Collector() as collector,
        target() as bare,
        target(**watched(Path(directory), collector.url, **settings)) as ours,
    ):
        for each in (bare, ours):
            each.held()
        found = answered_otherwise(bare, ours)
        small, alone = ours.held(), bare.held()
        found += large_bodies(ours)
        large = ours.held()
        calls = small["calls"] + large["calls"]
        collector.wait_for(lambda store: store.counts().distinct >= calls, ARRIVE_S)
        counts = collector.store.counts()
    held_s = max(small["held_s"], large["held_s"])
    if held_s > LONGEST_HELD_S:
        found.append("the loop was held up")
    if large["peak_bytes"] - small["peak_bytes"] > GROWTH_BYTES:
        found.append(f"memory grew by {(large['peak_bytes'] - small['peak_bytes']) // MIB} MiB")
    if counts.invalid:
        found.append(f"{counts.invalid} invalid events")
    return Served(found, calls, counts.distinct, counts.duplicates, held_s, small["gap_s"], alone["gap_s"])

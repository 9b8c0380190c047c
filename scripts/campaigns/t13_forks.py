"""T13, its forks: a program forks while it captures. No child hangs, each event arrives once."""

import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from lab.processes import eventually, has_ended, shippers_of

from campaigns.scene import APPLICATION_ID, HERE, Finding
from moesifasgi.inspector import Collector

COUNT = 1_000
TRANSPORTS = ("auto", "queue")
FIRST_WITHIN_S = 1.0
"""A child's first event is with the shipper by then, where there is one when it is forked."""
STARTS_WITHIN_S = 5.0
"""Else a shipper is started first, on a machine that this program keeps busy."""
PROGRAM = HERE / "forking_program.py"
TIMEOUT_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Forks:
    """What came of one run of the program."""

    children: int
    ids: list[str]
    lost: int
    duplicates: int
    firsts_s: list[float]
    """How long each child's first event took to be acknowledged."""
    unserved_s: list[float]
    """The same of those that were forked before there was a shipper."""
    on_queue: int
    sound: bool
    """No child failed, and the parent's events are delivered."""


def run(count: int, rng: random.Random, first_within_s: float = FIRST_WITHIN_S) -> Finding:
    """Fork ``count`` times, half of them on each transport. Where a fork falls, the scheduler chooses."""
    found = {transport: forks_of(transport, count // len(TRANSPORTS)) for transport in TRANSPORTS}
    all_found = found.values()
    firsts_s = sorted(first_s for each in all_found for first_s in each.firsts_s)
    slowest_s = firsts_s[-1]
    unserved_s = max((first_s for each in all_found for first_s in each.unserved_s), default=0.0)
    lost, twice = sum(each.lost for each in all_found), sum(each.duplicates for each in all_found)
    holds = (
        all(each.sound and len(set(each.ids)) == len(each.ids) for each in all_found)
        and not lost
        and not twice
        and slowest_s <= first_within_s
        and unserved_s <= STARTS_WITHIN_S
        and found["queue"].on_queue == found["queue"].children
    )
    events = sum(len(each.ids) for each in all_found)
    middle_s = firsts_s[len(firsts_s) // 2]
    remark = (
        f"a child's first event took {middle_s * 1000:.0f} ms, {slowest_s * 1000:.0f} ms at most, and"
        f" {unserved_s * 1000:.0f} ms where a shipper was still to be started"
    )
    return Finding("T13", f"{count} forks while capturing", events, lost, twice, remark, holds)


def forks_of(transport: str, count: int) -> Forks:
    with Collector() as collector, tempfile.TemporaryDirectory(prefix="moesif-chaos-") as directory:
        environment = {
            **os.environ,
            "MOESIF_APPLICATION_ID": APPLICATION_ID,
            "MOESIF_BASE_URI": collector.url,
            "MOESIF_SPOOL_DIR": directory,
            "MOESIF_SHIPPER_SOCKET": f"{directory}/no-standalone-shipper.sock",
        }
        done = subprocess.run(
            [sys.executable, str(PROGRAM), transport, str(count)],
            env=environment,
            stdout=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=True,
        )
        told: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        parent, children = told[-1], told[:-1]
        ids = [made for each in told for made in each["ids"]]
        lost = _missing(collector, ids)
        _end_shippers(directory)
        return Forks(
            children=len(children),
            ids=ids,
            lost=lost,
            duplicates=collector.store.counts().duplicates,
            firsts_s=[each["first_s"] for each in children if each["served"]],
            unserved_s=[each["first_s"] for each in children if not each["served"]],
            on_queue=sum(each["on_queue"] for each in children),
            sound=parent["flushed"] and not parent["failed"] and len(children) == count,
        )


def _end_shippers(directory: str) -> None:
    shippers = shippers_of(directory)
    for shipper in shippers:
        shipper.terminate()
    eventually(lambda: all(map(has_ended, shippers)), 30.0, "the shipper has left")


def _missing(collector: Collector, ids: list[str]) -> int:
    """Children are gone before their events are delivered."""
    try:
        eventually(lambda: set(ids) <= collector.store.transaction_ids(), 30.0, "all are delivered")
    except AssertionError:
        return len(set(ids) - collector.store.transaction_ids())
    return 0

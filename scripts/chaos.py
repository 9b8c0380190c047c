"""The fault campaign: ``make chaos``. Each row is a fault, done so often to real processes under load.

    python scripts/chaos.py [--only T1] [--count 20] [--seed 7]

Exits with 0 only if every row holds.
"""

import random
import sys
import time
from collections.abc import Callable, Mapping
from types import ModuleType

import click
from campaigns import (
    d1_one_daemon,
    d2_take_over,
    t01_shipper_killed,
    t02_queue_worker_killed,
    t02_worker_killed,
    t03_ways_to_end,
    t04_outage,
    t08_spool_faults,
    t09_shipper_away,
    t09_shipper_away_held,
    t10_hostile_peers,
    t11_hostile_requests,
    t12_election,
    t12_servers,
    t13_forks,
    t13_servers,
    t13_soak,
    t14_stop_with_backlog,
    t15_reloads,
    t16_clock_jumps,
    t17_standstill,
    t18_conservation,
    t20_power_loss,
)
from campaigns.scene import Finding

CAMPAIGNS: Mapping[str, ModuleType] = {
    "T1": t01_shipper_killed,
    "T2": t02_worker_killed,
    "T2-queue": t02_queue_worker_killed,
    "T3": t03_ways_to_end,
    "T4": t04_outage,
    "T8": t08_spool_faults,
    "T9": t09_shipper_away,
    "T9-held": t09_shipper_away_held,
    "T10": t10_hostile_peers,
    "T11": t11_hostile_requests,
    "T13-forks": t13_forks,
    "T12": t12_election,
    "T12-servers": t12_servers,
    "T13": t13_soak,
    "T13-servers": t13_servers,
    "T14": t14_stop_with_backlog,
    "T15": t15_reloads,
    "T16": t16_clock_jumps,
    "T17": t17_standstill,
    "T18": t18_conservation,
    "T20": t20_power_loss,
    "D1": d1_one_daemon,
    "D2": d2_take_over,
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CAMPAIGNS)), help="These rows; default: all.")
@click.option("--count", type=int, help="How often each fault is done; default: the row's own count.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random moments.")
def chaos(only: tuple[str, ...], count: int | None, seed: int) -> None:
    """Do faults to real processes under load, and count what is lost."""
    findings = [_measured(name, count, seed) for name in only or CAMPAIGNS]
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


def _measured(name: str, count: int | None, seed: int) -> Finding:
    campaign = CAMPAIGNS[name]
    began = time.monotonic()
    run: Callable[[int, random.Random], Finding] = campaign.run
    found = run(count or campaign.COUNT, random.Random(seed))
    click.echo(
        f"{found.name}  {found.done}: {found.events} events, {found.lost} lost,"
        f" {found.twice_on_the_wire} twice on the wire, {found.remark};"
        f" {'holds' if found.holds else 'DOES NOT HOLD'} ({time.monotonic() - began:.0f} s)"
    )
    return found


if __name__ == "__main__":
    chaos()

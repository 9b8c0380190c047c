"""The table of sizes in docs/operations.md: what the rows mean for a host with so many events a second."""

from collections.abc import Sequence

from benchmarks.table import Row

RATES = (100, 1_000, 5_000)
"""Events a second."""
SPOOL_BYTES = 1 << 30
"""The default of spool_max_bytes."""
HEADINGS = ("events a second", "CPU", "disk an hour of outage", "outage that 1 GiB holds")
_HOUR_S = 3600.0


def sizing_table(rows: Sequence[Row]) -> str:
    """Markdown. StopIteration where one of the rows was not measured."""
    cpu_us = _figure(rows, "P6", "CPU of the shipper")
    disk = _figure(rows, "P9", "disk of a spooled event")
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(_line(rate, cpu_us, disk) for rate in RATES)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{_most(rows, cpu_us)}\n{_memory(rows)}"


def _line(rate: int, cpu_us: float, disk: float) -> tuple[str, ...]:
    hour = rate * _HOUR_S * disk
    held_h = SPOOL_BYTES / (rate * disk) / _HOUR_S
    return f"{rate:,}", f"{rate * cpu_us / 1e6:.1%} of a core", f"{hour / 1e6:,.0f} MB", f"{held_h:.1f} h"


def _most(rows: Sequence[Row], cpu_us: float) -> str:
    far = 1e6 / _figure(rows, "P13", "time to deliver 1,000")
    return (
        f"One core takes about {round(1e6 / cpu_us, -2):,.0f} events a second. A backlog goes to a collector"
        f" 80 ms away at about {round(far, -2):,.0f} a second."
    )


def _memory(rows: Sequence[Row]) -> str:
    idle = _figure(rows, "P9", "memory of an idle shipper")
    at_work = _figure(rows, "P9", "most memory of a shipper, ")
    backlog = next(row for row in rows if row.what.startswith("most memory of a shipper with"))
    return (
        f"Memory: {idle:.0f} MB idle, {at_work:.0f} MB at full speed, {backlog.ours:.0f} MB"
        f" {backlog.what.partition('shipper ')[2]}."
    )


def _figure(rows: Sequence[Row], group: str, start: str) -> float:
    return next(row.ours for row in rows if row.id == group and row.what.startswith(start))

"""The table of sizes in docs/operations.md: what the rows mean for a host with so many events a second."""

from collections.abc import Sequence

from benchmarks.table import Row

RATES = (100, 1_000, 5_000)
"""Events a second."""
SPOOL_BYTES = 1 << 30
"""The default of spool_max_bytes."""
_HOUR_S = 3600.0
_MEMORY = ("memory of an idle shipper", "most memory of a shipper, ", "most memory of a shipper with")


def sizing_table(rows: Sequence[Row]) -> str:
    """Markdown. StopIteration where one of the rows was not measured."""
    cpu_us = _figure(rows, "P6", "CPU of the shipper")
    disk = _figure(rows, "P9", "disk of a spooled event")
    idle, at_work, over = (
        _figure(rows, "P9", start)
        for start in (
            "memory of an idle shipper",
            "most memory of a shipper, ",
            "most memory of a shipper with",
        )
    )
    memory = f"{idle:.0f} MB idle, {at_work:.0f} MB at full speed, {over:.0f} MB over a large backlog"
    lines = [("events a second", "CPU", "memory", "disk an hour of outage", "outage that 1 GiB holds")]
    lines += [("---",) * 5]
    for rate in RATES:
        hour = rate * _HOUR_S * disk
        held_s = SPOOL_BYTES / (rate * disk)
        core = f"{rate * cpu_us / 1e6:.1%} of a core"
        lines.append((f"{rate:,}", core, memory, f"{hour / 1e6:,.0f} MB", f"{held_s / _HOUR_S:.1f} h"))
    most = 1e6 / cpu_us
    far = 1e6 / _figure(rows, "P13", "time to deliver 1,000")
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"{table}\n\nOne core takes about {most:,.0f} events a second."
        f" A backlog goes to a collector 80 ms away at about {far:,.0f} a second."
    )


def _figure(rows: Sequence[Row], group: str, start: str) -> float:
    return next(row.ours for row in rows if row.id == group and row.what.startswith(start))

"""P8: what an event costs, however many wait."""

import statistics
import sys

from benchmarks.shipping import home, sink
from benchmarks.table import Row, Target
from benchmarks.workbench import Workbench

MODULE = "benchmarks.subjects.backlog"
SIZES = (10**3, 10**5, 10**6)


def measure(bench: Workbench) -> list[Row]:
    """One event appended and one delivered, with so many in the spool."""
    subjects = {
        f"{size}": bench.subject(
            f"b{size}",
            sys.executable,
            MODULE,
            str(home(bench, f"h{size}")),
            sink(bench, f"{size}")[1],
            str(size),
        )
        for size in SIZES
    }
    samples = bench.alternate(subjects, plan=bench.plan.for_shippers())
    costs = {size: statistics.median(samples[str(size)]) * 1e6 for size in SIZES}
    return [
        Row(
            "P8",
            f"CPU to append and deliver an event, {size:,} in the spool",
            "µs",
            costs[size],
            costs[SIZES[0]],
            f"{SIZES[0]:,} in the spool",
            Target(1.1, "≤ 1.1"),
            {"cpu_s": samples},
        )
        for size in SIZES[1:]
    ]

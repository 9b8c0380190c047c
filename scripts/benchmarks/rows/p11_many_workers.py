"""P11: what an event costs the shipper, whatever number of workers it comes from."""

import statistics

from benchmarks.shipping import shipper, sink
from benchmarks.table import Row, Target
from benchmarks.workbench import Workbench

WORKERS = (1, 2, 4, 16)


def measure(bench: Workbench) -> list[Row]:
    """Shippers of so many workers each, for the same events together."""
    subjects = {
        str(workers): shipper(bench, f"s{workers}", sink(bench, f"of-{workers}")[1], workers)
        for workers in WORKERS
    }
    samples = bench.alternate(subjects, plan=bench.plan.for_shippers())
    costs = {workers: statistics.median(samples[str(workers)]) * 1e6 for workers in WORKERS}
    return [
        Row(
            "P11",
            f"CPU of the shipper for an event, {workers} workers",
            "µs",
            costs[workers],
            costs[1],
            "1 worker",
            Target(1.1, "≤ 1.1"),
            {"cpu_s": samples},
        )
        for workers in WORKERS[1:]
    ]

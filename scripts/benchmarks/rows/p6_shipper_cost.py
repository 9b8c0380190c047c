"""P6: what the shipper costs for each event, all in: receiving, storing, building, compressing, uploading."""

import statistics

from benchmarks.shipping import published, shipper, sink
from benchmarks.table import Row, Target
from benchmarks.workbench import Workbench


def measure(bench: Workbench) -> list[Row]:
    """A shipper beside the published package's upload path alone, which is part of the application there."""
    subjects = {
        name: make(bench, sink(bench, name)[1])
        for name, make in (("ours", lambda at, url: shipper(at, "ours", url)), ("published", published))
    }
    samples = bench.alternate(subjects, plan=bench.plan.for_shippers())
    ours, other = (statistics.median(samples[name]) * 1e6 for name in ("ours", "published"))
    what = "CPU of the shipper for an event, batches of 200"
    name = "moesifasgi 1.1.8, upload alone"
    return [Row("P6", what, "µs", ours, other, name, Target(1 / 3, "≤ 1/3"), {"cpu_s": samples})]

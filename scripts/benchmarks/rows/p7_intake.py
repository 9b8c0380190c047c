"""P7: what it costs to receive, store and acknowledge a frame, beside the least that storing it can cost."""

import statistics
import sys

from benchmarks.shipping import home
from benchmarks.table import Row, Target
from benchmarks.workbench import Workbench

MODULE = "benchmarks.subjects.intake"


def measure(bench: Workbench) -> list[Row]:
    """Without delivery; durable against the death of processes, so that no disk is waited for."""
    subjects = {
        name: bench.subject(name, sys.executable, MODULE, name, str(home(bench, f"home-{name}")))
        for name in ("ours", "floor")
    }
    samples = bench.alternate(subjects, plan=bench.plan.for_shippers())
    ours, floor = (statistics.median(samples[name]) * 1e6 for name in ("ours", "floor"))
    what = "CPU to receive, store and acknowledge a frame"
    return [Row("P7", what, "µs", ours, floor, "igzip + insert", Target(1.5, "≤ 1.5"), {"cpu_s": samples})]

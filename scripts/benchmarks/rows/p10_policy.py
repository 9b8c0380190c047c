"""P10: the CPU that a policy adds to a request, beside as many bare searches of the same patterns."""

import sys

from benchmarks.table import Row, Target
from benchmarks.workbench import Workbench, added

MODULE = "benchmarks.subjects.policy"
VARIANTS = ("bare", "searches", "none", "policy")


def measure(bench: Workbench) -> list[Row]:
    """The middleware with a policy against the one without, and bare searches against none."""
    subjects = {name: bench.subject(name, sys.executable, MODULE, name) for name in VARIANTS}
    samples = bench.alternate(subjects)
    ours, searches = (
        added(samples, name, base) * 1e6 for name, base in (("policy", "none"), ("searches", "bare"))
    )
    what = "CPU added a request, 100 rules and 50 sampling patterns"
    target = Target(3.0, "≤ 3")
    return [Row("P10", what, "µs", ours, searches, "150 searches", target, {"cpu_s": samples})]

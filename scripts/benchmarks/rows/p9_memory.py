"""P9: what the import of the middleware costs an application, and what a shipper takes."""

import statistics
import sys
from typing import Any

from lab.published import published_python

from benchmarks import shipper_memory
from benchmarks.table import Row, Target
from benchmarks.workbench import Workbench

MODULE = "benchmarks.subjects.import_cost"


def measure(bench: Workbench) -> list[Row]:
    """Fresh interpreters, ours and the published package's in turn."""
    pythons = {"ours": sys.executable, "published": published_python()}
    for python in pythons.values():
        # The first writes the bytecode; a server does not start from source either.
        bench.answer(python, MODULE)
    rounds = [_round(bench, pythons) for _ in range(bench.plan.rounds)]
    return [
        _row(rounds, "CPU of the import", "ms", "cpu_s", 1e3, Target(40, "≤ 40 ms", absolute=True)),
        _row(rounds, "memory of the import", "MB", "rss_bytes", 1e-6, Target(5, "≤ 5 MB", absolute=True)),
        *shipper_memory.rows(bench),
    ]


def _round(bench: Workbench, pythons: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {name: bench.answer(python, MODULE) for name, python in pythons.items()}


def _row(
    rounds: list[dict[str, dict[str, Any]]], what: str, unit: str, key: str, scale: float, target: Target
) -> Row:
    samples = {name: [each[name][key] * scale for each in rounds] for name in ("ours", "published")}
    ours, published = (statistics.median(samples[name]) for name in ("ours", "published"))
    return Row("P9", what, unit, ours, published, "moesifasgi 1.1.8", target, samples)

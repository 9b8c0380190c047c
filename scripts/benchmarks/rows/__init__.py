"""The rows, one file a group: a module ``p<number>_<name>`` here, with ``measure(bench) -> list[Row]``."""

import importlib
import pkgutil
import re
from collections.abc import Callable

from benchmarks.table import Row
from benchmarks.workbench import Workbench

Measure = Callable[[Workbench], list[Row]]


def row_groups() -> dict[str, Measure]:
    """All groups by their id ("P1"), in the order of their numbers."""
    numbered = {
        int(match[1]): module.name
        for module in pkgutil.iter_modules(__path__)
        if (match := re.match(r"p(\d+)_", module.name))
    }
    return {f"P{number}": _measure(numbered[number]) for number in sorted(numbered)}


def _measure(module: str) -> Measure:
    measure: Measure = importlib.import_module(f"{__name__}.{module}").measure
    return measure

"""Rows of figures, and the ways to show them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

HEADINGS = ("row", "what", "ours", "against", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of a row: on its ratio, or on our own figure where ``absolute``."""

    limit: float
    text: str
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of ours beside that of a peer or a floor, in the same unit."""

    id: str
    what: str
    unit: str
    ours: float
    other: float
    other_name: str
    target: Target | None = None
    samples: dict[str, Any] = field(default_factory=dict)
    """What the figures were computed from; goes into the JSON only."""

    @property
    def ratio(self) -> float | None:
        """Ours over the other; None beside one that costs nothing."""
        return self.ours / self.other if self.other > 0 else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None for a row that has none."""
        if self.target is None:
            return None
        figure = self.ours if self.target.absolute else self.ratio
        return figure is not None and figure <= self.target.limit

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of ``HEADINGS``."""
        ours, other = f"{self.ours:,.1f} {self.unit}", f"{self.other_name}: {self.other:,.1f} {self.unit}"
        target = self.target.text if self.target else "-"
        verdict = {True: "yes", False: "NO", None: "-"}[self.met]
        ratio = "-" if self.ratio is None else f"{self.ratio:.3g}"
        return self.id, self.what, ours, other, ratio, target, verdict


def as_text(rows: Sequence[Row]) -> str:
    """The table for a terminal, columns aligned."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_padded(line, widths).rstrip() for line in lines)


def as_markdown(rows: Sequence[Row]) -> str:
    """The table for README."""
    rule = tuple("---" for _ in HEADINGS)
    return "\n".join(f"| {' | '.join(line)} |" for line in [HEADINGS, rule, *(row.cells() for row in rows)])


def as_json(rows: Sequence[Row]) -> str:
    """Everything about the rows, samples included."""
    return json.dumps([{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows], indent=2)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))

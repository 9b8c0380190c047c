"""The page that lists all differences, made of their reasons and of one example each from a run."""

import json
from collections.abc import Collection
from pathlib import Path

from differential.comparison import EVENT, Difference
from differential.differences import SECTIONS
from differential.reasons import Reason, part_of
from lab.published import PUBLISHED_VERSION

PATH = Path(__file__).parents[2] / "docs" / f"differences-from-{PUBLISHED_VERSION}.md"
MAX_EXAMPLE_CHARACTERS = 70
HEAD = f"""# Differences from moesifasgi {PUBLISHED_VERSION}

What changes in your events and responses when you come from the published package, and why. `make test`
sends the same requests through both packages and compares their events field by field: what differs is
listed here, and nothing else does. Not compared are what the dashboard decides (sampling, governance rules),
calls that the application makes itself, and when events are delivered.

What a difference rests on stands at the end of its reason: a fault of the published package by an id such as
A12 (the regression tests have them too), a standard, Moesif's Events API, or a decision of ours (by design).

This page is generated: `.venv/bin/python scripts/differences.py`.
"""


def page(found: Collection[Difference]) -> str:
    """The page as Markdown. ``found`` holds at least one difference for each reason."""
    parts = [HEAD]
    for title, reasons in SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(reason, next(filter(reason.explains, found))) for reason in reasons]
    return "\n".join(parts)


def _entry(reason: Reason, example: Difference) -> str:
    path, ours = example.path, example.ours
    if reason.part and path == EVENT:
        path, ours = reason.part, part_of(ours, reason.part)
    rows = [
        f"| | moesifasgi {PUBLISHED_VERSION} | this package |",
        "|---|---|---|",
        f"| | {reason.published} | {reason.ours} |",
        f"| `{path}` | {_shown(example.published)} | {_shown(ours)} |",
    ]
    return "\n".join([f"### {reason.title}\n", f"{reason.why}\n", *rows, ""])


def _shown(value: object) -> str:
    if isinstance(value, str) and value.startswith("("):
        return value
    text = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
    return f"`{text}`" if len(text) <= MAX_EXAMPLE_CHARACTERS else f"`{text[:MAX_EXAMPLE_CHARACTERS]}` …"

"""The cases as a page for people: docs/what-is-recorded.md."""

import json
from collections.abc import Iterable
from typing import Any

from recorded import bodies, callers, calls, endings
from recorded.case import Call, Case, Section, Seen

SECTIONS: tuple[Section, ...] = (
    *bodies.SECTIONS,
    *callers.SECTIONS,
    *calls.SECTIONS,
    *endings.SECTIONS,
)
_HEAD = """# What is recorded

This page shows what Moesif stores of an API call: of its body, its caller, its headers and URL, and of a
call that did not end as it should. A field of the stored event is given by its path. Where an event shows
less than what happened, a note in its metadata says so, under `moesif`.

Each row is also a test: the call is made through the middleware, and the event that would be uploaded has
these fields, and no note that its row does not name. What you leave out yourself is in
[Hooks and masks](hooks-and-masks.md). (`python scripts/readme.py` writes this page from the cases in
`scripts/recorded`.)
"""
_COLUMNS = "| what comes | for example | what is recorded |\n|---|---|---|\n"


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *map(_section, SECTIONS)])


def _section(section: Section) -> str:
    head = f"## {section.title}\n\n{section.introduction}\n\n{_COLUMNS}"
    return head + "".join(map(_row, section.cases))


def _row(case: Case) -> str:
    example = _example(case.call) if case.example is None else [case.example]
    stored = [f"`{path}`: {_value(value)}" for path, value in case.stored.items()]
    cells = (case.name, "<br>".join(example), "<br>".join(stored))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _example(call: Call) -> list[str]:
    lines = [f"`{name}` = {_value(value)}" for name, value in call.settings.items()]
    lines += _code(f"{name}: {value}" for name, value in (*call.headers, *call.response_headers))
    if call.method == "GET":
        target = (call.raw_path or call.path.encode()).decode() + (f"?{call.query}" if call.query else "")
        lines += _code([f"GET {target}"])
    return lines + _code(body.decode() for body in (call.body, call.response_body) if body)


def _code(texts: Iterable[str]) -> list[str]:
    return [f"`{text}`" for text in texts]


def _value(value: Any) -> str:
    if isinstance(value, Seen):
        return value.words
    shown = json.dumps(value, ensure_ascii=False)
    return f"`{shown}`"

"""A reason why fields of two events differ, and the predicates that say which. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from differential.comparison import ABSENT, Difference, same


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some fields differ, and which."""

    title: str
    field: str
    """Pattern that a difference's whole path has."""
    published: str
    """What the published package makes of it."""
    ours: str
    why: str
    calls: frozenset[str] = frozenset()
    """The calls that it concerns, every one of them; empty: any."""
    holds: Callable[[Difference], bool] = lambda each: not is_left_out(each)
    """What else must be so."""
    part: str = ""
    """Of an event that only we have: the dotted path of what matters in it."""

    def explains(self, difference: Difference) -> bool:
        if self.calls and difference.call not in self.calls:
            return False
        return re.fullmatch(self.field, difference.path) is not None and self.holds(difference)


_SERVER_ERROR = (500, "Internal Server Error", "21", "text/plain; charset=utf-8")
"""What Starlette answers for a middleware that raised: status, body, its length and type."""


def calls(names: str) -> frozenset[str]:
    return frozenset(names.split())


def values(published: object, ours: object) -> Callable[[Difference], bool]:
    return lambda difference: (difference.published, difference.ours) == (published, ours)


def is_left_out(difference: Difference) -> bool:
    return (difference.published, difference.ours) == (None, ABSENT)


def only_ours(difference: Difference) -> bool:
    return difference.published in (None, ABSENT) and difference.ours not in (None, ABSENT)


def now(**expected: object) -> dict[str, Any]:
    """By call, with ``_`` for ``-``, what we have in the field. Of a transfer encoding: base64 no more."""
    by_call = {call.replace("_", "-"): value for call, value in expected.items()}

    def holds(difference: Difference) -> bool:
        if difference.path.endswith("transfer_encoding"):
            return difference.published in (None, "base64") and difference.ours == "json"
        return not is_left_out(difference) and same(difference.ours, by_call[difference.call])

    return {"calls": frozenset(by_call), "holds": holds}


def part_of(event: object, path: str) -> object:
    """What stands in an event at a dotted path; ABSENT where there is nothing."""
    for name in path.split("."):
        event = event.get(name, ABSENT) if isinstance(event, dict) else ABSENT
    return event


def now_recorded(part: str, **values: object) -> dict[str, Any]:
    """For events that only we have: by call, with ``_`` for ``-``, what stands at ``part`` of each."""
    expected = {call.replace("_", "-"): value for call, value in values.items()}

    def holds(difference: Difference) -> bool:
        if difference.path.startswith("client."):
            return difference.published in _SERVER_ERROR
        return only_ours(difference) and same(part_of(difference.ours, part), expected[difference.call])

    return {"calls": frozenset(expected), "holds": holds, "part": part}

"""Two sides, field by field: what differs, with what changes from run to run made alike first. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from differential.facts import SLOW, SLOW_S
from differential.sides import Answer, Event, Side

ABSENT: Final = "(absent)"
"""What stands for a field that is not there. No compared field has this as its text."""
EVENT = "event"
CLIENT = "client"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}")


class Difference(NamedTuple):
    """One field in which the sides differ."""

    call: str
    path: str
    """Dotted, with indices of lists; ``event`` for the whole event, ``client.…`` for what the client saw."""
    published: Any
    ours: Any


def differences(published: Side, ours: Side) -> list[Difference]:
    """All of them, in the order of the calls."""
    found: list[Difference] = []
    for call in ours.answers:
        seen = [(_told(side.answers[call]), _made_alike(side, call)) for side in (published, ours)]
        (their_answer, their_event), (our_answer, our_event) = seen
        found += (Difference(call, *each) for each in _compared(CLIENT, their_answer, our_answer))
        found += (Difference(call, *each) for each in _compared("", their_event, our_event))
    return found


def same(one: Any, other: Any) -> bool:
    """As JSON, because to Python 1, 1.0 and True are the same."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _compared(path: str, published: Any, ours: Any) -> Iterator[tuple[str, Any, Any]]:
    """Maps by name, lists of one length by index; anything else as a whole and with its type."""
    if isinstance(published, dict) and isinstance(ours, dict):
        for name in {**published, **ours}:
            below = f"{path}.{name}" if path else name
            yield from _compared(below, published.get(name, ABSENT), ours.get(name, ABSENT))
    elif isinstance(published, list) and isinstance(ours, list) and len(published) == len(ours):
        for index, pair in enumerate(zip(published, ours, strict=True)):
            yield from _compared(f"{path}[{index}]", *pair)
    elif not same(published, ours):
        yield path or EVENT, published, ours


def _told(answer: Answer) -> dict[str, Any]:
    """What the client saw, without the server's own clock; its transaction id is one, whichever."""
    values: dict[str, list[str]] = {}
    for name, value in answer.headers:
        if name != "date":
            values.setdefault(name, []).append(_UUID.sub("UUID", value))
    return {"status": answer.status, "headers": values, "body": answer.body.decode("latin-1")}


def _made_alike(side: Side, call: str) -> Any:
    """The event of a call with UUIDs numbered in order and times as their kind; ABSENT where there is none.

    AssertionError where there are several.
    """
    events = side.events.get(call, [])
    assert len(events) <= 1, f"{len(events)} events of {call}"
    if not events:
        return ABSENT
    (event,) = events
    texts = _Numbered(side.address)
    texts(event["transaction_id"])
    alike: dict[str, Any] = _mapped(event, texts)
    if alike["request"]["uri"].endswith(SLOW) and _lasted_s(event) >= SLOW_S:
        alike["response"]["time"] += " after the last byte"
    return alike


class _Numbered:
    """A text with its UUIDs replaced by numbers, the same by the same, the server's address by a name, and a
    time by its form.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        if _TIME.fullmatch(text):
            return "TIME"
        return _UUID.sub(self._number, text).replace(self._address, "SERVER")

    def _number(self, found: re.Match[str]) -> str:
        return self._known.setdefault(found.group(), f"UUID {len(self._known) + 1}")


def _mapped(value: Any, texts: _Numbered) -> Any:
    if isinstance(value, Mapping):
        return {name: _mapped(item, texts) for name, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, texts) for item in value]
    return texts(value) if isinstance(value, str) else value


def _lasted_s(event: Event) -> float:
    """From the request's time to the response's."""
    began, ended = (datetime.fromisoformat(event[side]["time"]) for side in ("request", "response"))
    return (ended - began).total_seconds()

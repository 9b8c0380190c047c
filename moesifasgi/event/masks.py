"""Masks that need no function of the user's: names whose values never leave the process. Pure.

    headers   by name; and in every header that holds a URL, the parameters that the query mask names
    bodies    ``password`` at any depth, ``user.password`` from the root; both look through lists
    query     by decoded name, wherever and however often it stands in the URI

Case makes no difference. ``MASK`` takes a value's place, so that the shape of the event stays. The names of
all masks count in metadata as well, and ``session_token`` takes away the event's own. User and company id are
never masked: they are found before, and an event without them is of no use.

A body that cannot be looked into is withheld if its side has a body mask, and a note in the metadata says so.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

from moesifasgi.event.build import NOTES_KEY, Notes
from moesifasgi.event.record import Ending

Event = dict[str, Any]
Side = Literal["request", "response"]

MASK = "***"
SIDES: tuple[Side, ...] = ("request", "response")
_PARAMETER = re.compile(r"(?:(?<=[?&;#\s])|^)([^=?&;#\s]+)=([^&#\s\"'<>]*)")
"""A parameter in a URL, or in text with a URL in it. Starts at a delimiter only: linear time."""
_STRUCTURED = ("json", "x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True)
class Masks:
    """What the settings name; the fields are those of ``settings.MaskSettings``."""

    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    request_body: tuple[str, ...] = ()
    response_body: tuple[str, ...] = ()
    request_query: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.request_headers, self.response_headers, *self._bodies(), self.request_query))

    def hide(self, event: Event) -> bool:
        """Mask the event in place; True if a body had to be withheld."""
        names = Names((*self._bodies(), *self.request_headers, *self.response_headers, *self.request_query))
        if "metadata" in event:
            event["metadata"] = names.masked(event["metadata"])
        if "session_token" in names.anywhere:
            event.pop("session_token", None)
        query = frozenset(name.lower() for name in self.request_query)
        request = event["request"]
        request["uri"] = _masked_parameters(request["uri"], query)
        _mask_headers(request, self.request_headers, query)
        _mask_headers(event.get("response", {}), self.response_headers, query)
        withheld = [_mask_body(event, "request", self.request_body)]
        withheld.append(_mask_body(event, "response", self.response_body))
        return any(withheld)

    def _bodies(self) -> tuple[str, ...]:
        return (*self.request_body, *self.response_body)


class Names:
    """Bare names and dotted paths, ready to be looked for."""

    __slots__ = ("_paths", "anywhere")

    def __init__(self, masks: Iterable[str]) -> None:
        lowered = [mask.lower() for mask in masks]
        self.anywhere = frozenset(lowered)
        self._paths = tuple(mask for mask in lowered if "." in mask)

    def masked(self, value: Any) -> Any:
        """``value`` in new containers, with MASK for what is named."""
        return self._masked(value, self._paths)

    def _masked(self, value: Any, paths: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {name: self._item(name.lower(), item, paths) for name, item in value.items()}
        if isinstance(value, list):
            return [self._masked(item, paths) for item in value]
        return value

    def _item(self, name: str, item: Any, paths: tuple[str, ...]) -> Any:
        # A name may hold dots itself, as form fields do: a path matches it too.
        if name in self.anywhere or name in paths:
            return MASK
        if not isinstance(item, (dict, list)):
            return item
        below = tuple(path[len(name) + 1 :] for path in paths if path.startswith(f"{name}."))
        return self._masked(item, below)


def unseen_bodies(event: Event, notes: Notes, ending: int) -> list[Side]:
    """The sides whose body no mask can look into: a part of it, still encoded, or not what it claims to be."""
    return [side for side in SIDES if _is_unseen(event.get(side, {}), f"{side}_body" in notes, ending)]


def withhold_body(event: Event, side: Side) -> None:
    """Take a body out of the event, and note it."""
    message = event.get(side, {})
    if message.pop("body", None) is not None:
        _note(event).setdefault(f"{side}_body", {})["withheld"] = True
    message.pop("transfer_encoding", None)


def withhold(event: Event, notes: Notes) -> None:
    """Take out of the event what a mask that failed might have wanted to: all but who, what and when."""
    event["metadata"] = {NOTES_KEY: {**notes, "withheld": True}}
    event.pop("session_token", None)
    event["request"]["uri"] = event["request"]["uri"].partition("?")[0]
    for side in SIDES:
        message = event.get(side, {})
        message |= {"headers": {}} if message else {}
        message.pop("body", None)
        message.pop("transfer_encoding", None)


def _is_unseen(message: Mapping[str, Any], noted: bool, ending: int) -> bool:
    if message.get("transfer_encoding") != "base64":
        return False
    declared = message["headers"].get("content-type", "").lower()
    return noted or ending != Ending.COMPLETE or any(name in declared for name in _STRUCTURED)


def _mask_headers(message: dict[str, Any], names: Collection[str], query: frozenset[str]) -> None:
    headers = message.get("headers")
    if headers:
        message["headers"] = {
            name: MASK if name in names else _masked_parameters(value, query)
            for name, value in headers.items()
        }


def _mask_body(event: Event, side: Side, masks: tuple[str, ...]) -> bool:
    """True if the body had to be withheld."""
    message = event.get(side, {})
    if not masks or "body" not in message:
        return False
    if message.get("transfer_encoding") == "base64":
        withhold_body(event, side)
        return True
    message["body"] = Names(masks).masked(message["body"])
    return False


def _masked_parameters(text: str, names: frozenset[str]) -> str:
    if not names or "=" not in text:
        return text

    def masked(found: re.Match[str]) -> str:
        name, value = found.groups()
        if unquote_plus(name).lower() in names:
            return f"{name}={MASK}"
        # Some servers separate parameters by ``;`` too.
        first, semicolon, rest = value.partition(";")
        return f"{name}={first}{semicolon}{_masked_parameters(rest, names)}"

    return _PARAMETER.sub(masked, text)


def _note(event: Event) -> Notes:
    metadata = event.setdefault("metadata", {})
    notes: Notes = metadata.setdefault(NOTES_KEY, {})
    return notes if isinstance(notes, dict) else {}

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
from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote, unquote_plus

from moesifasgi.event.build import NOTES_KEY, Notes
from moesifasgi.event.record import Ending

Event = dict[str, Any]
Side = Literal["request", "response"]

MASK = "***"
SIDES: tuple[Side, ...] = ("request", "response")
_PARAMETER = re.compile(r"(?:(?<=[?&;#\s])|^)([^=?&;#\s]+)=([^&#\s]*)")
"""A parameter in a URL, or in text with a URL in it. Starts at a delimiter only: linear time."""
_INNER_DELIMITER = re.compile("([;?])")
_URL_LEVELS = 3
"""URLs as values of URLs' parameters that are looked into: a login page's ``next=`` is the second level."""
_STRUCTURED = ("json", "x-www-form-urlencoded", "multipart/form-data")


class Masks:
    """What the settings name; the arguments are the fields of ``settings.MaskSettings``."""

    __slots__ = ("_bodies", "_everything", "_headers", "_query")

    def __init__(
        self,
        *,
        request_headers: tuple[str, ...] = (),
        response_headers: tuple[str, ...] = (),
        request_body: tuple[str, ...] = (),
        response_body: tuple[str, ...] = (),
        request_query: tuple[str, ...] = (),
    ) -> None:
        self._headers = {"request": Names(request_headers), "response": Names(response_headers)}
        self._bodies = {"request": Names(request_body), "response": Names(response_body)}
        self._query = Names(request_query)
        self._everything = Names(
            (*request_headers, *response_headers, *request_body, *response_body, *request_query)
        )

    def __bool__(self) -> bool:
        return bool(self._everything.anywhere)

    def hide(self, event: Event) -> bool:
        """Mask the event in place; True if a body had to be withheld."""
        if "metadata" in event:
            event["metadata"] = self._everything.masked(event["metadata"])
        if "session_token" in self._everything.anywhere:
            event.pop("session_token", None)
        event["request"]["uri"] = self._masked_parameters(event["request"]["uri"])
        withheld = [self._mask_message(event, side) for side in SIDES]
        return any(withheld)

    def _mask_message(self, event: Event, side: Side) -> bool:
        """True if the body had to be withheld."""
        message, names = event.get(side, {}), self._headers[side].anywhere
        for name, value in message.get("headers", {}).items():
            message["headers"][name] = MASK if name in names else self._masked_parameters(value)
        if "body" not in message or not self._bodies[side].anywhere:
            return False
        if message.get("transfer_encoding") == "base64":
            withhold_body(event, side)
            return True
        message["body"] = self._bodies[side].masked(message["body"])
        return False

    def _masked_parameters(self, text: str) -> str:
        return masked_parameters(text, self._query.anywhere) if self._query.anywhere else text


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


def masked_parameters(text: str, names: frozenset[str], levels: int = _URL_LEVELS) -> str:
    """A URL, or text with one in it, with MASK for the values of the parameters ``names`` (lower case)."""
    if "=" not in text or levels == 0:
        return text

    def masked(found: re.Match[str]) -> str:
        name, value = found.groups()
        if _is_named(name, names):
            return f"{name}={MASK}"
        if ";" in value or "?" in value:
            return f"{name}={_masked_within(value, names)}"
        if "%3" not in value:
            return found[0]
        inner = unquote(value)
        shown = masked_parameters(inner, names, levels - 1)
        return found[0] if shown == inner else f"{name}={quote(shown, safe=MASK)}"

    return _PARAMETER.sub(masked, text)


def _masked_within(value: str, names: frozenset[str]) -> str:
    """A value with parameters of its own: some servers separate by ``;``, and a URL may stand there as it is.

    To others those characters are part of the value, so it is masked from the first that is named to its end.
    """
    parts = _INNER_DELIMITER.split(value)
    for index, part in enumerate(parts):
        name, equals, _ = part.partition("=")
        if equals and _is_named(name, names):
            return f"{''.join(parts[:index])}{name}={MASK}"
    return value


def _is_named(name: str, names: frozenset[str]) -> bool:
    return unquote_plus(name).lower() in names


def unseen_bodies(event: Event, notes: Notes, ending: int) -> list[Side]:
    """The sides whose body no mask can look into: in part, still encoded, or not what it claims to be."""
    return [side for side in SIDES if _is_unseen(event.get(side, {}), f"{side}_body" in notes, ending)]


def withhold_body(event: Event, side: Side) -> None:
    """Take a body out of the event, and note it."""
    message = event.get(side, {})
    if message.pop("body", None) is not None:
        notes = _dict_in(_dict_in(event, "metadata"), NOTES_KEY)
        _dict_in(notes, f"{side}_body")["withheld"] = True
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


def _dict_in(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """The map under ``key``; a user's own value there that is none gives way."""
    if not isinstance(parent.get(key), dict):
        parent[key] = {}
    child: dict[str, Any] = parent[key]
    return child

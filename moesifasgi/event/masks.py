"""Masks that need no function of the user's: names whose values never leave the process. Pure.

    headers   by name; and in every header that holds a URL, the parameters that the query mask names
    bodies    ``password`` at any depth, ``user.password`` from the root; both look through lists
              ``user[password]`` is read as ``user.password``; a text that looks like JSON and holds a name
              is masked whole
    query     by decoded name, wherever and however often it stands in the URI; see ``parameters``. Of more
              than MAX_PIECES parts nothing is shown

Case makes no difference. ``MASK`` takes a value's place, so that the shape of the event stays. The names of
all masks count in metadata as well, and ``session_token`` takes away the event's own. User and company id are
never masked: they are found before, and an event without them is of no use.

A body that cannot be looked into is withheld if its side has a body mask, and a note in the metadata says so.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from moesifasgi.event.build import Notes
from moesifasgi.event.notes import NOTES_KEY, body_note_in
from moesifasgi.event.parameters import MASK, Parameters
from moesifasgi.event.record import Ending

Event = dict[str, Any]
Side = Literal["request", "response"]

SIDES: tuple[Side, ...] = ("request", "response")
_PATH_DELIMITERS = re.compile(r"[.\[\]]+")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_BEFORE_JSON = ' \t\r\n\0"\\\ufeff\ufffd'
_LOOKED_INTO = frozenset({dict, list, str})
"""All else is a number, a truth or nothing."""
MAX_PIECES = 2_000
"""Parts of URIs and headers of one event that are searched for parameters; a part takes some microseconds."""
_DELIMITERS = "&;?#/, "
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
        self._query = Parameters(request_query)
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
        urls = _Urls(self._query)
        path, question_mark, _ = event["request"]["uri"].partition("?")
        event["request"]["uri"] = urls.masked(event["request"]["uri"], f"{path}{question_mark}{MASK}")
        withheld = [self._mask_message(event, side, urls) for side in SIDES]
        return any(withheld)

    def _mask_message(self, event: Event, side: Side, urls: "_Urls") -> bool:
        """True if the body had to be withheld."""
        message, names = event.get(side, {}), self._headers[side].anywhere
        for name, value in message.get("headers", {}).items():
            message["headers"][name] = MASK if name in names else urls.masked(value, MASK)
        if "body" not in message or not self._bodies[side].anywhere:
            return False
        if message.get("transfer_encoding") == "base64":
            withhold_body(event, side)
            return True
        message["body"] = self._bodies[side].masked(message["body"])
        return False


class _Urls:
    """Masks the parameters in one event's texts, as far as there is time for it."""

    __slots__ = ("_pieces_left", "_query")

    def __init__(self, query: Parameters) -> None:
        self._query = query
        self._pieces_left = MAX_PIECES

    def masked(self, text: str, instead: str) -> str:
        """``text`` with its parameters masked; ``instead`` of it where that would take too long."""
        if not self._query.may_be_in(text):
            return text
        self._pieces_left -= 1 + sum(map(text.count, _DELIMITERS))
        return self._query.masked(text) if self._pieces_left >= 0 else instead


class Names:
    """Bare names and dotted paths, ready to be looked for."""

    __slots__ = ("_in_text", "_paths", "anywhere")

    def __init__(self, masks: Iterable[str]) -> None:
        lowered = [mask.lower() for mask in masks]
        self.anywhere = frozenset(lowered)
        self._paths = tuple(mask for mask in lowered if "." in mask)
        words = "|".join(re.escape(mask.rpartition(".")[2]) for mask in sorted(self.anywhere))
        self._in_text = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if words else None

    def masked(self, value: Any) -> Any:
        """``value`` in new containers, with MASK for what is named."""
        return self._masked(value, self._paths)

    def _masked(self, value: Any, paths: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return self._masked_map(value, paths)
        if isinstance(value, list):
            return [self._masked(item, paths) if type(item) in _LOOKED_INTO else item for item in value]
        return MASK if isinstance(value, str) and self._is_in_json(value) else value

    def _masked_map(self, fields: dict[str, Any], paths: tuple[str, ...]) -> dict[str, Any]:
        # In the event loop, for every field of every body: most are named by nothing, and hold nothing.
        anywhere, starts = self.anywhere, _first_names(paths)
        made = {}
        for key, item in fields.items():
            name = key.lower()
            if name in anywhere:
                made[key] = MASK
            elif name in starts or "." in name or "[" in name:
                made[key] = self._item(name, item, paths)
            else:
                made[key] = self._masked(item, ()) if type(item) in _LOOKED_INTO else item
        return made

    def _item(self, name: str, item: Any, paths: tuple[str, ...]) -> Any:
        """A field whose name may begin a path, or be one."""
        if "." in name or "[" in name:
            # A name may be a path itself, as those of form fields are.
            parts = [part for part in _PATH_DELIMITERS.split(name) if part and not part.isdecimal()]
            name = ".".join(parts)
            if not self.anywhere.isdisjoint(parts):
                return MASK
        if any(name == path or name.startswith(f"{path}.") for path in paths):
            return MASK
        below = tuple(path[len(name) + 1 :] for path in paths if path.startswith(f"{name}."))
        return self._masked(item, below)

    def _is_in_json(self, text: str) -> bool:
        """Whether a text looks like JSON, or like a text of it, in which one of the names stands."""
        # The first question is the quick one, and nearly always the last.
        if "{" not in text and "[" not in text:
            return False
        if self._in_text is None or not text.lstrip(_BEFORE_JSON).startswith(("{", "[")):
            return False
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text.replace("\0", ""))
        return self._in_text.search(text.lower()) is not None


@lru_cache(maxsize=256)
def _first_names(paths: tuple[str, ...]) -> frozenset[str]:
    return frozenset(path.partition(".")[0] for path in paths)


def unseen_bodies(event: Event, notes: Notes, ending: int) -> list[Side]:
    """The sides whose body no mask can look into: in part, still encoded, or not what it claims to be."""
    return [side for side in SIDES if _is_unseen(event.get(side, {}), f"{side}_body" in notes, ending)]


def withhold_body(event: Event, side: Side) -> None:
    """Take a body out of the event, and note it."""
    message = event.get(side, {})
    if message.pop("body", None) is not None:
        body_note_in(event, side)["withheld"] = True
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

"""What a condition may look at in one call, as text.

    request.verb, request.route     the method; the path without its query
    request.ip, request.ip_address  the client's address, under both names that are in use
    request.headers.<name>          in any case of letters
    request.body.<field>            a field of the top level, or a dotted path into objects
    request.body.query, .operationName
                                    fields like others; a body that is a text (raw GraphQL) is the query
    response.status                 known only after the application has answered

A path that is none of these has no value, so nothing matches it. Text, numbers and booleans of a body are
compared as JavaScript writes them; null and objects have no text. A value that is there but empty is searched
like any other.

What comes more than once (a header, a field of a form, a list in a body, a field in the objects of a body
that is a list) is looked at joined and one by one: it is enough that one of these matches.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from typing import Final, Literal, TypeAlias

from moesifasgi.policy.text import is_list, text_of

MAX_SEARCHING_S: Final = 0.020
"""What all the searches of one decision may take together, but for quick ones in short texts."""

_BODY = "request.body."
_HEADER = "request.headers."
_OTHERS = ("request.verb", "request.route", "request.ip", "request.ip_address", "response.status")


class _Unseen(Enum):
    UNSEEN = auto()


Unseen: TypeAlias = Literal[_Unseen.UNSEEN]
UNSEEN: Final = _Unseen.UNSEEN
"""Not known yet (a body that was not read, a response that is not there): it may be asked for again later."""

Value: TypeAlias = str | Unseen | None


class Several(str):
    """A value that comes more than once: the joined text, which has ``texts``: itself and each value.

    It says that it is longer than any text, so that the one question that is asked of every text, whether it
    is short, leads away from the quick way; the usual single text pays nothing for it.
    """

    __slots__ = ("texts",)
    texts: tuple[str, ...]

    @classmethod
    def of(cls, texts: tuple[str, ...]) -> "Several":
        """The first of ``texts`` is the joined one."""
        made = cls(texts[0])
        made.texts = texts
        return made

    def __len__(self) -> int:
        return sys.maxsize


class Facts:
    """The values of one call; each is computed once, when it is first asked for.

    ``header`` gives the text of a header by its name in lower case; for one that comes more than once a tuple
    of the joined text and each value. ``body`` gives the decoded body (or None if it cannot be decoded); None
    instead of it: not read (yet).
    """

    __slots__ = (
        "_body",
        "_header",
        "_ip_address",
        "_known",
        "_route",
        "_status",
        "_verb",
        "searching_left_s",
    )

    def __init__(
        self,
        *,
        verb: str,
        route: str,
        ip_address: Callable[[], str | None],
        header: Callable[[str], str | tuple[str, ...] | None],
        body: Callable[[], object] | None = None,
        status: int | None = None,
    ) -> None:
        self._verb = verb
        self._route = route
        self._ip_address = ip_address
        self._header = header
        self._body = body
        self._status = status
        self._known: dict[str, str | None] = {}
        self.searching_left_s = MAX_SEARCHING_S

    def value(self, path: str) -> Value:
        """The text at ``path``; None: there is none; UNSEEN: ask again after ``see_body``, ``see_status``."""
        try:
            return self._known[path]
        except KeyError:
            value = self._found(path)
        if value is not UNSEEN:
            self._known[path] = value
        return value

    def see_body(self, body: Callable[[], object]) -> None:
        """The body has been read: from now on its fields have values."""
        self._body = body

    def see_status(self, status: int) -> None:
        """The response is there."""
        self._status = status

    def _found(self, path: str) -> Value:
        if path.startswith(_BODY):
            return UNSEEN if self._body is None else self._in_body(path.removeprefix(_BODY), self._body)
        if path.startswith(_HEADER):
            found = self._header(path.removeprefix(_HEADER).lower())
            return Several.of(found) if isinstance(found, tuple) else found
        match path:
            case "request.verb":
                return self._verb
            case "request.route":
                return self._route
            case "request.ip" | "request.ip_address":
                return self._ip_address()
            case "response.status":
                return UNSEEN if self._status is None else str(self._status)
        return None

    def _in_body(self, field: str, body: Callable[[], object]) -> str | None:
        decoded = body()
        # The next field finds it decoded.
        self._body = lambda: decoded
        if isinstance(decoded, str) and field == "query":
            return decoded
        texts = tuple(_texts_at(decoded, field))
        if len(texts) > 1:
            return Several.of((", ".join(texts), *texts))
        return texts[0] if texts else None


def is_known(path: str) -> bool:
    """Whether ``path`` is one that a call can have a value at."""
    return path.startswith((_BODY, _HEADER)) or path in _OTHERS


def is_of_body(path: str) -> bool:
    """Whether the body must have been read for this."""
    return path.startswith(_BODY)


def _texts_at(body: object, field: str) -> Iterator[str]:
    """One, as a rule; more where there is a list. A body that is a list is a batch, as of GraphQL."""
    for root in body if is_list(body) else (body,):
        value = _at(root, field)
        for each in value if is_list(value) else (value,):
            if (text := text_of(each)) is not None:
                yield text


def _at(value: object, field: str) -> object:
    """The field of that very name, or the one that the dotted path leads to."""
    if isinstance(value, Mapping) and field in value:
        return value[field]
    for name in field.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value

"""The user's functions of a request and its response: SKIP, IDENTIFY_USER, IDENTIFY_COMPANY, GET_METADATA,
GET_SESSION_TOKEN, and the same for outgoing calls. They get objects of the framework's, or of the client
library's, own classes, made of what was captured: nothing that they do to them reaches the live ones.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgpack

from moesifasgi.channel import Channel
from moesifasgi.event.jsonable import jsonable
from moesifasgi.event.record import Record
from moesifasgi.exchange import NOT_ASKED, Answered
from moesifasgi.policy.identity import UNKNOWN, Identity, Unknown
from moesifasgi.settings import Functions
from moesifasgi.steps import Steps
from moesifasgi.user_function import UserFunction

T = TypeVar("T")
Pair = Callable[[], tuple[Any, Any]]
"""Makes a request and a response for one function; None where there was no response."""

MAX_ID_CHARACTERS = 10_000
"""A session token may be a JWT of several kB; what is longer is no id."""
MAX_METADATA_BYTES = 100_000
"""As msgpack. The collector takes 1 MB an event, and there is nothing else in it to cut."""


class Answers(NamedTuple):
    """What the functions said of one exchange."""

    skip: bool = False
    user_id: Identity = None
    company_id: Identity = None
    session_token: Identity = None
    metadata: dict[str, Any] | None = None

    def added_to(self, record: Record) -> Record:
        """The record with these answers. An unknown user is not looked for in the headers either."""
        return record._replace(
            user_id="" if self.user_id is UNKNOWN else self.user_id,
            company_id=None if self.company_id is UNKNOWN else self.company_id,
            session_token=None if self.session_token is UNKNOWN else self.session_token,
            metadata=self.metadata,
        )


class Hooks:
    """The functions that are set; at least one is. ``suffix`` is that of their keys."""

    def __init__(self, functions: Functions, timeout_s: float, channel: Channel, suffix: str = "") -> None:
        def prepared(key: str, function: Any) -> UserFunction | None:
            return None if function is None else UserFunction(key + suffix, function, timeout_s, channel)

        self._skip = prepared("SKIP", functions.skip)
        self._identify_user = prepared("IDENTIFY_USER", functions.identify_user)
        self._identify_company = prepared("IDENTIFY_COMPANY", functions.identify_company)
        self._get_session_token = prepared("GET_SESSION_TOKEN", functions.get_session_token)
        self._get_metadata = prepared("GET_METADATA", functions.get_metadata)

    def answers(self, pair: Pair, identified: Answered = NOT_ASKED) -> Steps[Answers]:
        """Ask each function once, SKIP first; what it would skip, the others never see.

        Who was ``identified`` before the application ran is not asked for again.
        """
        if (yield from _asked(self._skip, bool, pair)) is True:
            return Answers(skip=True)
        user_id, company_id = identified
        if not isinstance(user_id, str):
            user_id = yield from _asked(self._identify_user, id_of, pair)
        if not isinstance(company_id, str):
            company_id = yield from _asked(self._identify_company, id_of, pair)
        session_token = yield from _asked(self._get_session_token, id_of, pair)
        metadata = yield from _asked(self._get_metadata, metadata_of, pair)
        return Answers(False, user_id, company_id, session_token, None if metadata is UNKNOWN else metadata)


def _asked(
    function: UserFunction | None, convert: Callable[[Any], T], pair: Pair
) -> Steps[T | Unknown | None]:
    """One function's answer. Its pair is its own: a body that one has read is there for the next."""
    if function is None:
        return None
    return (yield from function.answer(convert, *pair()))


def id_of(value: object) -> str | None:
    """An id as text; None and empty mean nobody. ValueError where it is no text, number, UUID or the like."""
    text = jsonable(value)
    if type(text) in (int, float):
        text = str(text)
    if text is None and value is None:
        return None
    if not isinstance(text, str) or len(text) > MAX_ID_CHARACTERS:
        raise ValueError(f"an id is a text of at most {MAX_ID_CHARACTERS} characters")
    return text or None


def metadata_of(value: object) -> dict[str, Any] | None:
    """Metadata as JSON can hold it, field by field. ValueError where it is no map.

    What comes to more than MAX_METADATA_BYTES in all loses the fields that do not fit.
    """
    if value is None:
        return None
    fields = jsonable(value)
    if not isinstance(fields, dict):
        raise ValueError("metadata is a dict")
    return fields if _size(fields) <= MAX_METADATA_BYTES else _fitting(fields)


def _fitting(fields: Mapping[str, Any]) -> dict[str, Any]:
    room = MAX_METADATA_BYTES
    kept = {}
    for name, value in fields.items():
        size = _size(name) + _size(value)
        if size <= room:
            kept[name] = value
            room -= size
    return kept


def _size(value: object) -> int:
    return len(msgpack.packb(value))

"""What a rule makes of a response: headers for any, or a whole one that blocks the call."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from moesifasgi.event.jsonable import jsonable
from moesifasgi.policy.faults import Faults
from moesifasgi.policy.merge_tags import has_tags, replaced
from moesifasgi.policy.text import is_list, text_keys, text_of

DEFAULT_STATUS: Final = 403
_NO_CONTENT = frozenset({204, 205, 304})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SERVERS_OWN = frozenset(
    {"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"date", "server", "x-moesif-transaction-id"}
)
"""How a message is framed is for the server to say, and what it adds of its own would be there twice."""


class Block(NamedTuple):
    """A complete response instead of the application's: content type and length are among its headers."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    rule_id: str


class Verdict(NamedTuple):
    """``headers`` to set on the application's own response (lower-case names, each once), or ``block``."""

    headers: list[tuple[bytes, bytes]]
    block: Block | None


class Draft:
    """The response as the rules so far have made it; each may override what those before it said."""

    __slots__ = ("_body", "_headers", "_rule_id", "_status")

    def __init__(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._status: int | None = None
        self._body = b""
        self._rule_id = ""

    def set_header(self, name: bytes, value: bytes) -> None:
        self._headers[name] = value

    def block(self, status: int, body: bytes, rule_id: str) -> None:
        # A body is always JSON; the rule's own headers, set after this, may name a type of it.
        self._headers[b"content-type"] = b"application/json"
        self._status, self._body, self._rule_id = status, body, rule_id

    def verdict(self) -> Verdict | None:
        if self._status is None:
            return Verdict(list(self._headers.items()), None) if self._headers else None
        headers, body = self._headers, self._body
        if self._status in _NO_CONTENT:
            body = b""
            headers.pop(b"content-type", None)
        else:
            headers[b"content-length"] = str(len(body)).encode("ascii")
        return Verdict([], Block(self._status, list(headers.items()), body, self._rule_id))


class Answer:
    """What one rule says of the response, compiled: only what has merge tags is made anew for each call."""

    __slots__ = ("_blocks", "_body", "_headers", "_rule_id", "_status", "_tagged_body", "_tagged_headers")

    def __init__(self, rule: Mapping[str, Any], rule_id: str, owner: str, faults: Faults) -> None:
        response = rule.get("response")
        if not isinstance(response, Mapping):
            response = {}
        tags = is_list(rule.get("variables")) and len(rule["variables"]) > 0
        headers = _headers(response.get("headers"), owner, faults)
        self._rule_id = rule_id
        self._tagged_headers = {name: value for name, value in headers.items() if tags and has_tags(value)}
        self._headers = {
            name: _header_value(value) for name, value in headers.items() if name not in self._tagged_headers
        }
        self._blocks = flag(rule, "block", owner, faults)
        self._status = _status(response.get("status"), owner, faults) if self._blocks else DEFAULT_STATUS
        # No body at all is written as null: a client that expects JSON gets JSON.
        body = jsonable(response.get("body"))
        self._tagged_body = body if tags and has_tags(body) else None
        self._body = _json(body) if self._blocks else b""

    def write(self, draft: Draft, values: Mapping[str, str]) -> None:
        """Let the rule have its say, with these values for its merge tags."""
        if self._blocks:
            tagged = self._tagged_body
            body = self._body if tagged is None else _json(replaced(tagged, values))
            draft.block(self._status, body, self._rule_id)
        for name, value in self._headers.items():
            draft.set_header(name, value)
        for name, text in self._tagged_headers.items():
            draft.set_header(name, _header_value(replaced(text, values)))


def flag(rule: Mapping[str, Any], key: str, owner: str, faults: Faults) -> bool:
    """A boolean of a rule; whatever is neither true nor false is false, so that the call passes."""
    value = rule.get(key)
    if value is not None and not isinstance(value, bool):
        faults.add(f"{owner}: {key} should be true or false")
    return value is True


def _status(status: object, owner: str, faults: Faults) -> int:
    text = text_of(status)
    if text is not None and re.fullmatch("[2-5][0-9][0-9]", text.strip()):
        return int(text)
    faults.add(f"{owner}: response.status should be a number from 200 to 599; {DEFAULT_STATUS} is used")
    return DEFAULT_STATUS


def _headers(headers: object, owner: str, faults: Faults) -> dict[bytes, str]:
    if headers is not None and not isinstance(headers, Mapping):
        faults.add(f"{owner}: response.headers should be an object")
    made: dict[bytes, str] = {}
    for name, value in text_keys(headers).items():
        text = text_of(value)
        if _NAME.fullmatch(name) is None or name.lower() in _SERVERS_OWN:
            faults.add(f"{owner}: a rule cannot set the response header {name[:60]!r}")
        elif text is None:
            faults.add(f"{owner}: the response header {name[:60]!r} should be a text")
        else:
            made.pop(name.lower().encode("ascii"), None)
            made[name.lower().encode("ascii")] = text
    return made


def _header_value(text: str) -> bytes:
    """``text`` so that it cannot end the header; what HTTP has no letters for becomes a question mark."""
    return _NOT_IN_A_VALUE.sub(" ", text).strip().encode("latin-1", "replace")


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

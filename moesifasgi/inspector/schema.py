"""What the collector accepts as an event, user, company, subscription or action. Pure.

The tables follow the collector's published API and the models of its client libraries. A field that the
tables do not name is accepted, as the collector accepts it; a null in an optional field counts as absent.
Shapes are called once an item at thousands of items a second, so a path is put together only for a fault.
"""

import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Fault = tuple[str, str]
"""Where, relative to the value that was checked (``.request.time``), and what was expected there."""
Check = Callable[[Any], Sequence[Fault]]

_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+[^\s\x00-\x1f\x7f]*")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_JSON_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def faults_of(stream: str, item: object, at: str = "$") -> list[str]:
    """What is wrong with one item of a stream (``events``, ``users`` …), in words with its JSON path.

    ``at`` is the path of the item itself. An empty list means that the collector would take it.
    """
    return [f"{at}{path}: {words}" for path, words in _ITEMS[stream](item)]


def moment_of(event: Mapping[str, Any]) -> float | None:
    """When the request of an event (or action) was made, in seconds since the epoch; None if unsaid."""
    time = (event.get("request") or {}).get("time")
    if time is None:
        return None
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _expected(what: str, value: object) -> list[Fault]:
    return [("", f"expected {what}, got {_JSON_NAMES.get(type(value), 'a number')}")]


def _text(value: Any) -> Sequence[Fault]:
    return () if isinstance(value, str) else _expected("a string", value)


def _object(value: Any) -> Sequence[Fault]:
    return () if isinstance(value, dict) else _expected("an object", value)


def _status_code(value: Any) -> Sequence[Fault]:
    return () if type(value) is int else _expected("an integer", value)


def _weight(value: Any) -> Sequence[Fault]:
    return () if type(value) is int and value > 0 else _expected("an integer of at least 1", value)


def _anything(_value: Any) -> Sequence[Fault]:
    return ()


def _matching(accepts: Callable[[str], object], what: str) -> Check:
    def check(value: Any) -> Sequence[Fault]:
        return () if isinstance(value, str) and accepts(value) else _expected(what, value)

    return check


def _one_of(*words: str) -> Check:
    return _matching(frozenset(words).__contains__, f"one of {', '.join(words)}")


def _is_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return value[10:11] == "T" and value[13:14] == ":"


@lru_cache(4096)
def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _headers(value: Any) -> Sequence[Fault]:
    if not isinstance(value, dict):
        return _expected("an object", value)
    wrong = [(name, part) for name, part in value.items() if not isinstance(part, str)]
    return [(f".{name}{path}", words) for name, part in wrong for path, words in _text(part)]


def _body_fits_its_encoding(message: Mapping[str, Any]) -> Sequence[Fault]:
    body = message.get("body")
    if message.get("transfer_encoding") != "base64" or body is None:
        return ()
    if not isinstance(body, str):
        return [(".body", words) for _, words in _expected("a base64 string", body)]
    try:
        binascii.a2b_base64(body, strict_mode=True)
    except ValueError:
        return [(".body", "expected a base64 string, got one that is not base64")]
    return ()


@dataclass(frozen=True, slots=True)
class _Shape:
    """An object with known fields. Calling it checks a value."""

    fields: Mapping[str, Check]
    required: tuple[str, ...] = ()
    also: Check = _anything
    """A rule over several fields of the object."""

    def __call__(self, value: Any) -> list[Fault]:
        if not isinstance(value, dict):
            return _expected("an object", value)
        faults = [(f".{name}", "required, but missing") for name in self.required if value.get(name) is None]
        for name, part in value.items():
            check = self.fields.get(name)
            if check is not None and part is not None and (found := check(part)):
                faults += [(f".{name}{path}", words) for path, words in found]
        return [*faults, *self.also(value)]


@dataclass(frozen=True, slots=True)
class _ListOf:
    """An array of one shape. Calling it checks a value."""

    item: _Shape

    def __call__(self, value: Any) -> list[Fault]:
        if not isinstance(value, list):
            return _expected("an array", value)
        return [(f"[{i}]{path}", words) for i, part in enumerate(value) for path, words in self.item(part)]


def _texts(*names: str) -> dict[str, Check]:
    return dict.fromkeys(names, _text)


_TIME = _matching(_is_time, "an ISO 8601 time")
_ADDRESS = _matching(_is_address, "an IP address")
_URI = _matching(_ABSOLUTE_URI.fullmatch, "an absolute URI with scheme and host")
_TRANSACTION_ID = _matching(_UUID.fullmatch, "a UUID of 36 characters")

_MESSAGE: dict[str, Check] = {
    "time": _TIME,
    "headers": _headers,
    "ip_address": _ADDRESS,
    "body": _anything,
    "transfer_encoding": _one_of("json", "base64"),
}
_REQUEST = _Shape(
    {**_MESSAGE, "uri": _URI, "verb": _matching(len, "a non-empty string"), "api_version": _text},
    required=("time", "uri", "verb", "headers"),
    also=_body_fits_its_encoding,
)
_RESPONSE = _Shape(
    {**_MESSAGE, "status": _status_code},
    required=("time", "status", "headers"),
    also=_body_fits_its_encoding,
)
_WHO: dict[str, Check] = {
    **_texts("user_id", "company_id", "subscription_id", "session_token"),
    "metadata": _object,
}
_PROFILE: dict[str, Check] = {
    **_WHO,
    "modified_time": _TIME,
    "ip_address": _ADDRESS,
    "campaign": _Shape(
        _texts(
            *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
            *("referrer", "referring_domain", "gclid"),
        )
    ),
}
_PLAN = _Shape(
    {
        **_texts("plan_id", "subscription_item_id", "price_id", "unit_of_measure"),
        "created_at": _TIME,
        "metadata": _object,
    },
    required=("plan_id",),
)
_STATUSES = ("active", "cancelled", "paused", "trialing", "pending", "draft", "future")

_ITEMS: Mapping[str, _Shape] = {
    "events": _Shape(
        {
            **_WHO,
            **_texts("blocked_by", "action_name", "trace_id", "tags"),
            "request": _REQUEST,
            "response": _RESPONSE,
            "transaction_id": _TRANSACTION_ID,
            "direction": _one_of("Incoming", "Outgoing", "Internal"),
            "weight": _weight,
            "span": _object,
        },
        required=("request",),
    ),
    "users": _Shape({**_PROFILE, "user_agent_string": _text}, required=("user_id",)),
    "companies": _Shape({**_PROFILE, "company_domain": _text}, required=("company_id",)),
    "subscriptions": _Shape(
        {
            **_WHO,
            "status": _one_of(*_STATUSES),
            "current_period_start": _TIME,
            "current_period_end": _TIME,
            "items": _ListOf(_PLAN),
        },
        required=("subscription_id", "company_id", "status"),
    ),
    "actions": _Shape(
        {
            **_WHO,
            "action_name": _text,
            "transaction_id": _TRANSACTION_ID,
            "request": _Shape(
                {"time": _TIME, "uri": _URI, "ip_address": _ADDRESS, "user_agent_string": _text},
                required=("uri",),
            ),
        },
        required=("action_name",),
    ),
}

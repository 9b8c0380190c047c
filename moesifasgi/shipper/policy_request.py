"""One request for a part of a policy: ``GET /v1/config`` or ``/v1/rules``, and what came of it."""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

import orjson

from moesifasgi.event.coding import Undecodable, decoded
from moesifasgi.shipper.clients import identification, named_tags, url
from moesifasgi.shipper.freshness import Failed
from moesifasgi.shipper.http import Answer, Http, NoAnswer
from moesifasgi.shipper.outcome import Delivered, RetryLater, Unauthorized
from moesifasgi.shipper.retry import classify
from moesifasgi.wire.application import Application
from moesifasgi.wire.policy_document import MAX_PART_BYTES, pack_part

MAX_TAG_CHARS = 256
"""A longer one is taken for none."""


class Part(Enum):
    """What the two halves of a policy are called in its document, and in the collector's paths."""

    CONFIG = "config"
    RULES = "rules"

    @property
    def shape(self) -> type[dict[str, Any]] | type[list[Any]]:
        """A JSON object, or an array."""
        return dict if self is Part.CONFIG else list


_JSON_NAMES = {dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A usable answer: the part as ``pack_part`` packs it; None: what is known is still right."""

    packed: bytes | None
    tag: str | None


def fetch(
    http: Http, application: Application, part: Part, known_tag: str | None, wall: float
) -> Fetched | Failed:
    """Ask once. ``known_tag`` is that of the part in force; ``wall`` the time, for a Retry-After."""
    headers = {**identification(application), "Accept": "application/json", "Accept-Encoding": "gzip"}
    if known_tag is not None:
        headers["If-None-Match"] = f'"{known_tag}"'
    try:
        answer = http.get(url(application, f"/v1/{part.value}"), headers, MAX_PART_BYTES)
    except NoAnswer as error:
        return Failed(str(error))
    if answer.status == HTTPStatus.NOT_MODIFIED and known_tag is not None:
        return Fetched(None, known_tag)
    outcome = classify(answer.status, answer.headers, wall)
    match outcome:
        case Delivered():
            return _read(answer, part)
        case RetryLater(after_s, reason):
            return Failed(reason, after_s)
        case Unauthorized(_, reason):
            return Failed(reason, lasting=True)
        case _:
            return Failed(f"status {answer.status}")


def _read(answer: Answer, part: Part) -> Fetched | Failed:
    try:
        return Fetched(pack_part(_parsed(answer, part)), _tag(answer, part))
    except ValueError as error:
        return Failed(f"the answer cannot be used: {error}")


def _parsed(answer: Answer, part: Part) -> Any:
    """The part as a value. ValueError says what is wrong, without any content."""
    if not answer.whole:
        raise ValueError(f"it is larger than {MAX_PART_BYTES} bytes")
    try:
        body = decoded(answer.body, answer.headers.get("Content-Encoding", ""), MAX_PART_BYTES)
    except Undecodable as error:
        raise ValueError(f"its content encoding is {error.reason}") from error
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("it is no JSON") from None
    if not isinstance(document, part.shape):
        raise ValueError(f"expected a JSON {_JSON_NAMES[part.shape]}")
    return document


def _tag(answer: Answer, part: Part) -> str | None:
    config_tag, rules_tag = named_tags(answer.headers)
    tag = config_tag if part is Part.CONFIG else rules_tag
    return tag if tag and len(tag) <= MAX_TAG_CHARS else None

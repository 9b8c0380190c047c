"""An event as the ``moesifapi.models.EventModel`` that MASK_EVENT_MODEL gets, and back again. Pure.

What the function sees in ``request.body`` and ``response.body``:

    JSON object or array, form      a dict or list
    any other JSON value            its text: ``in`` works on it, as the published example wants
    what is not JSON                a str, base64 (``transfer_encoding`` says so)
    none, JSON null, or withheld    ``{}``

What comes back is made an event again: what stayed as shown is stored as it was, what was changed is made
plain JSON. The transaction id is always the event's own; what the collector requires, and the function
broke, is put back, unless it may be secret. The moesifapi package takes 0.15 s to import, so this module is
loaded only when the function is set.
"""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from moesifapi.models import EventModel, EventRequestModel, EventResponseModel

from moesifasgi.event.client_ip import parsed_address
from moesifasgi.event.fields import DIRECTIONS
from moesifasgi.event.jsonable import MAX_INT, MIN_INT, jsonable, well_formed

Event = dict[str, Any]

MAX_BODY_NODES = 1_000_000
"""Values within a masked body: as many as the largest body that is decoded can have."""
_TEXTS = ("user_id", "company_id", "session_token", "blocked_by", "tags")
_HAS_HOST = re.compile(r"https?://[^/?#\s\x00-\x1f\x7f]")
_NOT_IN_URIS = re.compile(r"[\s\x00-\x1f\x7f]")


def model_of(event: Event) -> Any:
    """The model of an event. It shares the event's containers, and the function may change them."""
    request, response = event["request"], event.get("response", {})
    return EventModel(
        request=EventRequestModel(**{**request, "body": _shown(request)}),
        response=EventResponseModel(**{"headers": {}, **response, "body": _shown(response)}),
        **{name: value for name, value in event.items() if name not in ("request", "response")},
    )


def event_of(answer: object, event: Event) -> Event:
    """The event that the function's answer is. ValueError where it is none.

    ``event`` is the one that the model was made of; its scalars are as they were.
    """
    if not isinstance(answer, EventModel) or not isinstance(answer.request, EventRequestModel):
        raise ValueError("the function returns an EventModel with its request")
    made: Event = {
        **event,
        "request": _request(answer.request, event["request"]),
        "direction": answer.direction if _is_direction(answer.direction) else event["direction"],
        "weight": answer.weight if _is_int(answer.weight, 1) else event["weight"],
        "metadata": jsonable(answer.metadata) if isinstance(answer.metadata, Mapping) else None,
        **{name: _text(getattr(answer, name)) for name in _TEXTS},
    }
    made.pop("response", None)
    if "response" in event and answer.response is not None:
        made["response"] = _response(answer.response, event["response"])
    return _present(made)


def _shown(message: Mapping[str, Any]) -> Any:
    body = message.get("body")
    if body is None:
        return {}
    return body if isinstance(body, (dict, list, str)) else json.dumps(body)


def _request(model: Any, was: Event) -> Event:
    made = {
        "time": model.time if _is_time(model.time) else was["time"],
        "uri": _uri(model.uri, was["uri"]),
        "verb": _text(model.verb) or was["verb"],
        "headers": _headers(model.headers),
        "api_version": _text(model.api_version),
        "ip_address": _address(model.ip_address),
    }
    return _present(made) | _body(model, was)


def _response(model: Any, was: Event) -> Event:
    if not isinstance(model, EventResponseModel):
        raise ValueError("the model's response is an EventResponseModel")
    made = {
        "time": model.time if _is_time(model.time) else was["time"],
        "status": model.status if _is_int(model.status, MIN_INT) else was["status"],
        "headers": _headers(model.headers),
        "ip_address": _address(model.ip_address),
    }
    return _present(made) | _body(model, was)


def _body(model: Any, was: Event) -> Event:
    """The fields of a body."""
    body, shown = model.body, _shown(was)
    if body is None:
        return {}
    if not was.get("body") and body == {}:
        return _stored(was)
    if isinstance(shown, str) and body == shown:
        return _stored(was)
    encoded = model.transfer_encoding == "base64" and _is_base64(body)
    return {
        "body": jsonable(body, max_nodes=MAX_BODY_NODES),
        "transfer_encoding": "base64" if encoded else "json",
    }


def _stored(was: Event) -> Event:
    return {name: was[name] for name in ("body", "transfer_encoding") if name in was}


def _uri(uri: object, was: str) -> str:
    """A URI that is none was hidden by the function: what stays is where the request went, not what for."""
    if isinstance(uri, str) and _HAS_HOST.match(uri):
        return _NOT_IN_URIS.sub(lambda found: quote(found[0]), well_formed(uri))
    return "/".join(was.split("/", 3)[:3]) + "/"


def _headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        return {}
    made = {str(name).lower(): _text(value) for name, value in headers.items()}
    return {well_formed(name): value for name, value in made.items() if value is not None}


def _text(value: object) -> str | None:
    """A text, or a number as text; anything else is no value."""
    if isinstance(value, str):
        return well_formed(value) or None
    return str(value) if type(value) in (int, float) else None


def _address(value: object) -> str | None:
    """What is no address was written there to hide one."""
    return parsed_address(value) if isinstance(value, str) else None


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and "T" in value and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _is_int(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= MAX_INT


def _is_direction(value: object) -> bool:
    return isinstance(value, str) and value in DIRECTIONS


def _is_base64(body: object) -> bool:
    try:
        return isinstance(body, str) and bool(b64decode(body, validate=True))
    except ValueError:
        return False


def _present(fields: Event) -> Event:
    return {name: value for name, value in fields.items() if value is not None}

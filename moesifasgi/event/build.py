"""A Record as the event that Moesif stores: the one place that knows the collector's schema.

Pure: the same Record gives the same event, in the worker or in the shipper. What a client
wrote cannot make it raise, nor make the event something that a strict encoder or the collector refuses.

Where an event shows less than what happened, it says so in its metadata under ``moesif``:

    request_body, response_body   cut_at_bytes and size_bytes, read_bytes (the application left the rest
                                  unread), undecoded (why a content coding is still on it, or too_large),
                                  unseen (the server read it from a file by itself)
    ending, error                 how an exchange ended that did not complete, and the exception's class
    cut                           the shipper's word on an event that was too large without its bodies
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from moesifasgi.event.body import IN_THE_SHIPPER, Reading, stored_body
from moesifasgi.event.client_ip import client_ip
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.fields import check_fields
from moesifasgi.event.headers import flat_headers
from moesifasgi.event.identity import user_id_from
from moesifasgi.event.jsonable import jsonable, well_formed
from moesifasgi.event.notes import NOTES_KEY
from moesifasgi.event.record import OUTGOING, Ending, Record
from moesifasgi.event.uri import request_uri

STATUS_OF_A_FAILURE = 500
"""What the server answers for an application that raised before its response started."""
UNKNOWN_METHOD = "UNKNOWN"
"""Where the server gave none; the collector requires one."""
_EPOCH = datetime(1970, 1, 1)

Notes = dict[str, Any]


def build_event(record: Record, reading: Reading = IN_THE_SHIPPER) -> dict[str, Any]:
    """The event of one exchange. Raises ValueError where a field's type cannot be: the frame was damaged."""
    return build_noted(record, reading)[0]


def build_noted(record: Record, reading: Reading) -> tuple[dict[str, Any], Notes]:
    """``build_event``, and its notes as they are before the user's own metadata is laid over them."""
    check_fields(record)
    settings = EventSettings.from_wire(record.settings)
    headers = flat_headers(record.request_headers)
    notes: Notes = {}
    event: dict[str, Any] = {
        "request": _request(record, settings, headers, notes, reading),
        "response": _response(record, notes, reading),
        "transaction_id": record.transaction_id,
        "user_id": _user_id(record, settings, headers),
        "company_id": _text(record.company_id),
        "session_token": _text(record.session_token),
        "direction": record.direction,
        "weight": record.weight,
        "blocked_by": _text(record.blocked_by),
    }
    if record.ending != Ending.COMPLETE:
        notes |= _present({"ending": Ending(record.ending).name.lower(), "error": _text(record.error)})
    event["metadata"] = _metadata(record.metadata, notes)
    return _present(event), notes


def is_unread(record: Record, headers: Mapping[str, str]) -> bool:
    """Whether there was more than the application read. Most never read to the end of an absent body."""
    if record.request_complete:
        return False
    announced = headers.get("content-length", "")
    if announced.isdecimal():
        return record.request_body_size < int(announced[:20])
    return record.request_body_size > 0 or "transfer-encoding" in headers


def _request(
    record: Record, settings: EventSettings, headers: dict[str, str], notes: Notes, reading: Reading
) -> dict[str, Any]:
    # An outgoing call went where its URL says, and its client is this application.
    incoming = record.direction != OUTGOING
    request = _present(
        {
            "time": _iso(record.started_at),
            "uri": request_uri(record, headers.get("host") if incoming else None),
            "verb": well_formed(record.method) or UNKNOWN_METHOD,
            "headers": headers,
            "api_version": _text(settings.api_version),
            "ip_address": client_ip(headers, record.client, settings.trusted_proxies) if incoming else None,
        }
    )
    body = record.request_body
    if body is not None:
        note = {"read_bytes": record.request_body_size} if is_unread(record, headers) else {}
        coded = _as_decoded(headers) if record.request_decoded else headers
        request |= _body(body, record.request_body_size, coded, note, reading)
        if note:
            notes["request_body"] = note
    return request


def _response(record: Record, notes: Notes, reading: Reading) -> dict[str, Any] | None:
    status = record.status
    if status is None:
        if record.ending != Ending.FAILED or record.direction == OUTGOING:
            return None
        status = STATUS_OF_A_FAILURE
    headers = flat_headers(record.response_headers)
    response = {"time": _iso(record.ended_at), "status": status, "headers": headers}
    if record.response_body is not None:
        note: Notes = {}
        coded = _as_decoded(headers) if record.response_decoded else headers
        response |= _body(record.response_body, record.response_body_size, coded, note, reading)
        if note:
            notes["response_body"] = note
    elif record.response_unseen:
        notes["response_body"] = {"unseen": True}
    return response


def _body(raw: bytes, size: int, headers: Mapping[str, str], note: Notes, reading: Reading) -> dict[str, Any]:
    """The body's fields of a request or response; what is not as it was is added to ``note``."""
    cut = size > len(raw)
    if cut:
        note |= {"cut_at_bytes": len(raw), "size_bytes": size}
    body = stored_body(raw, headers, cut=cut, reading=reading)
    if body is None:
        return {}
    if body.undecoded is not None:
        note["undecoded"] = body.undecoded
    return {"body": body.content, "transfer_encoding": body.transfer_encoding}


def _as_decoded(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers as they would be for the body as it is recorded."""
    return {name: value for name, value in headers.items() if name != "content-encoding"}


def _user_id(record: Record, settings: EventSettings, headers: Mapping[str, str]) -> str | None:
    if record.user_id is not None:
        return _text(record.user_id)
    # An outgoing call carries the application's own credentials, which name no user and are secret.
    if record.direction == OUTGOING:
        return None
    return user_id_from(headers, settings.authorization_headers, settings.authorization_user_id_field)


def _metadata(own: dict[str, Any] | None, notes: Notes) -> dict[str, Any] | None:
    metadata: dict[str, Any] = jsonable(own) if own else {}
    if notes:
        theirs = metadata.setdefault(NOTES_KEY, {})
        if isinstance(theirs, dict):
            metadata[NOTES_KEY] = notes | theirs
    return metadata or None


def _iso(seconds: float) -> str:
    """UTC with milliseconds and no suffix, as Moesif documents its times."""
    try:
        second, microseconds = divmod(round(seconds * 1e6), 1_000_000)
        return f"{_second(second)}.{microseconds // 1000:03d}"
    except (OverflowError, ValueError) as error:
        raise ValueError("a record's times are seconds since the epoch") from error


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    """Cached, because many events share their second."""
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _text(value: str | None) -> str | None:
    return well_formed(value) if value else None


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

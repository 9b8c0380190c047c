"""Starlette's own ``Request`` and ``Response``, made of a Record, for the user's functions.

This module loads Starlette, so it is loaded when a function is set.
"""

from starlette.requests import Request
from starlette.responses import Response

from moesifasgi.enforcement.call import is_whole
from moesifasgi.event.headers import flat_headers
from moesifasgi.event.record import Record
from moesifasgi.exchange import Exchange, Message, Scope, copy_of


def starlette_pair(record: Record, exchange: Exchange) -> tuple[Request, Response]:
    """The request of an exchange as the application left it, and its response."""
    return request_of(record, exchange.scope()), response_of(record)


def request_of(record: Record, scope: Scope) -> Request:
    """A request whose body is the captured one, if that is all of it.

    Otherwise (cut, not recorded, or not read by the application) reading it raises ClientDisconnect, after
    the part that there is: half a body would name the wrong user.
    """
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {
            "type": "http.request",
            "body": record.request_body or b"",
            "more_body": not is_whole(record, flat_headers(record.request_headers)),
        }

    return Request(copy_of(scope), receive)


def response_of(record: Record) -> Response:
    """The response with its first MAX_BODY_SIZE bytes; ``b""`` where its body is not recorded."""
    response = Response(record.response_body, record.status or 0)
    response.raw_headers = [(name.lower(), value) for name, value in record.response_headers]
    return response

"""Calls of requests: each that an ``HTTPAdapter`` sends, so each hop of a redirect, and each step of a login.

Functions get a ``PreparedRequest`` and a ``Response``.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from requests.models import Response

from moesifasgi.outgoing.call import Captured, OutgoingCall, Sent
from moesifasgi.outgoing.capture import begin, below
from moesifasgi.outgoing.header_pairs import header_pairs
from moesifasgi.outgoing.patches import Patches
from moesifasgi.outgoing.sent_body import watched
from moesifasgi.outgoing.urllib3_response import watch


def patch(module: ModuleType, patches: Patches) -> None:
    """See ``capture.Library``."""
    patches.wrap(module.adapters.HTTPAdapter, "send", _send)


def _send(wrapped: Callable[..., Any], adapter: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = args[0] if args else kwargs.get("request")
    call = begin(_sent, request)
    if call is None:
        return below(wrapped, args, kwargs)
    assert request is not None
    body = request.body
    try:
        call.contained(_watch_body, request)
        response = below(wrapped, args, kwargs)
    except BaseException as error:
        call.failed(error)
        raise
    finally:
        if request.body is not body:
            request.body = body
    call.contained(_answered, response)
    return response


def _sent(request: Any) -> Sent:
    url = urlsplit(request.url)
    return Sent(
        request.method or "",
        url.scheme,
        url.hostname or "",
        url.port,
        request.path_url.encode("utf-8", "replace"),
        header_pairs(request.headers.lower_items()),
    )


def _watch_body(call: OutgoingCall, request: Any) -> None:
    request.body = watched(request.body, call)
    if call.is_asked_about:
        call.shown_as(partial(_shown_request, _without_body(request)))


def _answered(call: OutgoingCall, response: Any) -> None:
    raw = response.raw
    pairs = getattr(raw, "headers", response.headers).items()
    show = partial(_shown_response, _head_of(response)) if call.is_asked_about else None
    call.answered(response.status_code, header_pairs(pairs), show)
    watch(raw, call)


def _without_body(request: Any) -> Any:
    """What may be kept: the body may be large, and hold what the application wants to let go of."""
    head = request.copy()
    head.body = None
    return head


def _shown_request(head: Any, body: bytes | None) -> Any:
    shown = head.copy()
    shown.body = body
    return shown


def _head_of(response: Any) -> Any:
    """The response without its body. The live one is not kept: letting go of it closes it, and is to."""
    head = Response()
    for name in ("status_code", "headers", "url", "encoding", "reason"):
        setattr(head, name, getattr(response, name))
    head.request = _without_body(response.request)
    head.headers = response.headers.copy()
    head.cookies = response.cookies.copy()
    head.elapsed = timedelta(0)
    return head


def _shown_response(head: Any, captured: Captured) -> Any:
    """A response of its own for each function; without all of its body, ``content`` raises RuntimeError."""
    shown = Response()
    request = _shown_request(head.request, captured.request_body)
    shown.__dict__.update(head.__dict__, request=request, _content_consumed=True)
    if captured.body is not None:
        shown.__dict__["_content"] = captured.body
    return shown

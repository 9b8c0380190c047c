"""Calls of urllib3, where an application, or a library that has none of its own here, uses it directly.

One call is one ``urlopen`` of a connection pool, with the retries that it makes by itself; a ``PoolManager``
follows redirects by one each. urllib3 has no request object: functions get a ``Urllib3Request``, and an
``HTTPResponse``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from moesifasgi.outgoing.call import Captured, OutgoingCall, Sent
from moesifasgi.outgoing.capture import begin, below
from moesifasgi.outgoing.header_pairs import header_pairs
from moesifasgi.outgoing.patches import Patches
from moesifasgi.outgoing.sent_body import watched
from moesifasgi.outgoing.urllib3_response import is_decoded, watch

_BODY, _PRELOAD, _DECODE = 2, 12, 13
"""Places of arguments of ``urlopen`` that we look at."""


@dataclass(frozen=True, slots=True)
class Urllib3Request:
    """What went out."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def patch(module: ModuleType, patches: Patches) -> None:
    """See ``capture.Library``."""
    patches.wrap(module.HTTPConnectionPool, "urlopen", _urlopen)


def _urlopen(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = begin(_sent, pool, args, kwargs)
    if call is None:
        return below(wrapped, args, kwargs)
    args, kwargs = _watched_body(call, args, kwargs)
    if call.is_asked_about:
        call.contained(_show_request, pool, args, kwargs)
    try:
        response = below(wrapped, args, kwargs)
    except BaseException as error:
        call.failed(error)
        raise
    preloaded = _argument(args, kwargs, _PRELOAD, "preload_content", True)
    decoded = _argument(args, kwargs, _DECODE, "decode_content", True)
    call.contained(_answered, response, bool(preloaded), bool(decoded))
    return response


def _sent(pool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sent:
    method = str(_argument(args, kwargs, 0, "method", "")).upper()
    headers = _argument(args, kwargs, 3, "headers", None)
    pairs = header_pairs((pool.headers if headers is None else headers).items())
    url = str(_argument(args, kwargs, 1, "url", "/"))
    if url.startswith("/"):
        target = url.encode("utf-8", "replace")
        return Sent(method, pool.scheme, pool.host.strip("[]"), pool.port, target, pairs)
    # Of a proxy the whole URL is asked, and it is the proxy's pool.
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}".encode("utf-8", "replace")
    return Sent(method, parts.scheme, parts.hostname or "", parts.port, target, pairs)


def _watched_body(
    call: OutgoingCall, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        if len(args) > _BODY:
            return (*args[:_BODY], watched(args[_BODY], call), *args[_BODY + 1 :]), kwargs
        return args, {**kwargs, "body": watched(kwargs.get("body"), call)}
    except Exception as error:  # noqa: BLE001  (the application's call goes on)
        call.lost(error)
        return args, kwargs


def _show_request(call: OutgoingCall, pool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    method, scheme, host, port, target, headers = _sent(pool, args, kwargs)
    place = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{place}{f':{port}' if port else ''}{target.decode()}"
    texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    call.shown_as(partial(Urllib3Request, method, url, texts))


def _answered(call: OutgoingCall, response: Any, preloaded: bool, decoded: bool) -> None:
    show = None
    if call.is_asked_about:
        show = partial(_shown_response, response.status, response.headers.copy(), response.reason)
    call.answered(response.status, header_pairs(response.headers.items()), show)
    if preloaded:
        call.received(response.data, decoded=decoded and is_decoded(response))
        call.completed()
    else:
        watch(response, call)


def _shown_response(status: int, headers: Any, reason: str | None, captured: Captured) -> Any:
    """A response that can be read, and is empty if not all of its body was captured."""
    from urllib3.response import HTTPResponse

    return HTTPResponse(
        BytesIO(captured.body or b""),
        headers,
        status,
        reason=reason,
        preload_content=False,
        decode_content=not captured.decoded,
    )


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str, default: Any) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)

"""Calls of aiohttp (3.12 or newer): each that a ``ClientSession`` sends, so each hop of a redirect.

A client middleware, the innermost one, sees each request and its response. Functions get the ``RequestInfo``
and a ``ClientResponse``, whose ``read``, ``text`` and ``json`` are served from what was captured.
"""

from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from types import ModuleType
from typing import Any

from moesifasgi.outgoing.aiohttp_reader import WatchedReader
from moesifasgi.outgoing.call import Captured, OutgoingCall, Sent
from moesifasgi.outgoing.capture import begin
from moesifasgi.outgoing.header_pairs import header_pairs
from moesifasgi.outgoing.patches import Patches
from moesifasgi.outgoing.proxy import Proxy

_CALL = "_moesifasgi_call"
Arguments = tuple[Any, ...]
Named = dict[str, Any]


def patch(module: ModuleType, patches: Patches) -> None:
    """See ``capture.Library``."""
    if not hasattr(module, "ClientMiddlewareType"):
        raise NotImplementedError("aiohttp 3.12 or newer is needed")
    patches.wrap(module.ClientSession, "_request", _request)
    patches.wrap(module.ClientRequest, "write_bytes", _write_bytes)


async def _request(wrapped: Callable[..., Any], session: Any, args: Arguments, kwargs: Named) -> Any:
    own = kwargs.get("middlewares")
    if own is None:
        own = getattr(session, "_middlewares", None)
    if own is not None:
        kwargs["middlewares"] = (*own, _record)
    return await wrapped(*args, **kwargs)


async def _record(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
    call = begin(_sent, request)
    if call is None:
        return await handler(request)
    call.contained(_watch_request, request)
    try:
        response = await handler(request)
    except BaseException as error:
        call.failed(error)
        raise
    call.contained(_answered, request, response)
    return response


async def _write_bytes(wrapped: Callable[..., Any], request: Any, args: Arguments, kwargs: Named) -> None:
    """The body goes out."""
    call = request.__dict__.pop(_CALL, None)
    if call is not None and args:
        args = (_WatchedWriter(args[0], call, bool(request.compress)), *args[1:])
    await wrapped(*args, **kwargs)


def _sent(request: Any) -> Sent:
    url = request.url
    target = url.raw_path_qs.encode("utf-8", "replace")
    headers = header_pairs(request.headers.items())
    return Sent(request.method, url.scheme, url.raw_host or "", url.port, target, headers)


def _watch_request(call: OutgoingCall, request: Any) -> None:
    if request.body:
        request.__dict__[_CALL] = call
    else:
        call.sent()
    if call.is_asked_about:
        info = request.request_info
        call.shown_as(lambda body: info)


def _answered(call: OutgoingCall, request: Any, response: Any) -> None:
    show = partial(_shown_response, _detached(response)) if call.is_asked_about else None
    call.answered(response.status, list(response.raw_headers), show)
    if response.content.at_eof():
        call.completed()
    else:
        response.content = WatchedReader(response.content, call, request.session.auto_decompress)


class _WatchedWriter(Proxy):
    """What aiohttp writes a body to."""

    def __init__(self, writer: Any, call: OutgoingCall, compressing: bool) -> None:
        super().__init__(writer)
        self._self_call = call
        # aiohttp puts its coding on behind this point; an application's own is on already.
        self._self_decoded = compressing

    async def write(self, chunk: Any, *args: Any, **kwargs: Any) -> None:
        self._self_call.sending(chunk, decoded=self._self_decoded)
        await self.__wrapped__.write(chunk, *args, **kwargs)

    async def write_eof(self, chunk: bytes = b"") -> None:
        if chunk:
            self._self_call.sending(chunk, decoded=self._self_decoded)
        self._self_call.sent()
        await self.__wrapped__.write_eof(chunk)


def _detached(response: Any) -> Any:
    """The response without its connection: to let go of it is to change nothing."""
    shown = copy(response)
    shown._connection = None
    shown._closed = True
    shown.content = _Unreadable()
    return shown


def _shown_response(detached: Any, captured: Captured) -> Any:
    """A response of its own for each function."""
    shown = copy(detached)
    shown._body = captured.body
    return shown


class _Unreadable:
    """In place of a body that was not captured whole."""

    async def read(self, *args: Any) -> bytes:
        raise RuntimeError("this body was not captured whole")

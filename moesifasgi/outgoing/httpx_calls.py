"""Calls of httpx, and of httpx2, which is built alike: each that an ``HTTPTransport`` sends, so each hop of a
redirect, and each step of a login.

Transports that send nothing over a network (those of ASGI and WSGI applications, of Starlette's TestClient,
mocks) make no calls. Functions get an ``httpx.Request`` and an ``httpx.Response``.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

from moesifasgi.event.record import Headers
from moesifasgi.outgoing.call import Captured, OutgoingCall, Sent
from moesifasgi.outgoing.capture import begin, below, parts_above
from moesifasgi.outgoing.patches import Patches

Arguments = tuple[Any, ...]
Named = dict[str, Any]


def patch(module: ModuleType, patches: Patches) -> None:
    """See ``capture.Library``."""
    calls = _Calls(module)
    patches.wrap(module.HTTPTransport, "handle_request", calls.handle)
    patches.wrap(module.AsyncHTTPTransport, "handle_async_request", calls.handle_async)


class _Head(NamedTuple):
    """A request without its body, which may be large: what may be kept while the call waits."""

    method: str
    url: Any
    headers: Headers


class _Hop:
    """A request while a transport has it: a failure is its call's, and its own stream is put back then."""

    __slots__ = ("_call", "_request", "_stream")

    def __init__(self, call: OutgoingCall, request: Any) -> None:
        self._call = call
        self._request = request
        self._stream = getattr(request, "stream", None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        try:
            if error is not None:
                self._call.failed(error)
        finally:
            # What sends it once more is to find that.
            if getattr(self._request, "stream", None) is not self._stream:
                self._request.stream = self._stream


class _Calls:
    """What one of the two modules sends."""

    def __init__(self, httpx: Any) -> None:
        self._httpx = httpx
        self._sync = type("WatchedStream", (_Parts, httpx.SyncByteStream), {})
        self._async = type("WatchedAsyncStream", (_AsyncParts, httpx.AsyncByteStream), {})

    def handle(self, wrapped: Callable[..., Any], transport: Any, args: Arguments, kwargs: Named) -> Any:
        request = args[0] if args else kwargs.get("request")
        call = begin(_sent, request)
        if call is None:
            return below(wrapped, args, kwargs)
        with _Hop(call, request):
            call.contained(self._watch_request, request, self._sync)
            response = below(wrapped, args, kwargs)
        call.contained(self._answered, request, response, self._sync)
        return response

    async def handle_async(
        self, wrapped: Callable[..., Any], transport: Any, args: Arguments, kwargs: Named
    ) -> Any:
        request = args[0] if args else kwargs.get("request")
        call = begin(_sent, request)
        if call is None:
            return await wrapped(*args, **kwargs)
        with _Hop(call, request):
            call.contained(self._watch_request, request, self._async)
            response = await wrapped(*args, **kwargs)
        call.contained(self._answered, request, response, self._async)
        return response

    def _watch_request(self, call: OutgoingCall, request: Any, stream: Any) -> None:
        if call.is_asked_about:
            call.shown_as(partial(self._shown_request, _head_of(request)))
        try:
            call.sending(request.content)
            call.sent()
        except self._httpx.RequestNotRead:
            request.stream = stream(request.stream, call.sending, call.sent)

    def _answered(self, call: OutgoingCall, request: Any, response: Any, stream: Any) -> None:
        headers, show = list(response.headers.raw), None
        if call.is_asked_about:
            extensions = {**response.extensions}
            extensions.pop("network_stream", None)
            show = partial(self._shown_response, response.status_code, headers, extensions, _head_of(request))
        call.answered(response.status_code, headers, show)
        response.stream = stream(response.stream, call.received, call.completed, call)

    def _shown_request(self, head: _Head, body: bytes | None) -> Any:
        """Without all of its body, ``content`` raises RequestNotRead."""
        named = {"stream": self._httpx.ByteStream(b"")} if body is None else {"content": body}
        return self._httpx.Request(head.method, head.url, headers=head.headers, **named)

    def _shown_response(
        self, status: int, headers: Headers, extensions: dict[str, Any], request: _Head, captured: Captured
    ) -> Any:
        """Without all of its body, ``content`` raises ResponseNotRead."""
        body = self._httpx.ByteStream(captured.body or b"")
        shown = self._httpx.Response(
            status,
            headers=headers,
            stream=body,
            request=self._shown_request(request, captured.request_body),
            extensions=dict(extensions),
        )
        if captured.body is not None:
            shown.read()
        return shown


class _Watching:
    """A stream that tells what passes."""

    def __init__(
        self,
        stream: Any,
        tell: Callable[[bytes], None],
        end: Callable[[], None],
        call: OutgoingCall | None = None,
    ) -> None:
        self._stream = stream
        self._tell = tell
        self._end = end
        self._call = call
        """For a response: its call, which ends with it in any way."""

    def _failed(self, error: Exception) -> None:
        if self._call is not None:
            self._call.failed(error)

    def _closed(self) -> None:
        if self._call is not None:
            self._call.left()


class _Parts(_Watching):
    def __iter__(self) -> Iterator[bytes]:
        try:
            # A request's is the application's own; a response's is read by the application.
            for part in parts_above(self._stream) if self._call is None else self._stream:
                self._tell(part)
                yield part
        except Exception as error:
            self._failed(error)
            raise
        self._end()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._closed()


class _AsyncParts(_Watching):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                self._tell(part)
                yield part
        except Exception as error:
            self._failed(error)
            raise
        self._end()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._closed()


def _sent(request: Any) -> Sent:
    url = request.url
    headers = list(request.headers.raw)
    return Sent(
        request.method, url.scheme, url.raw_host.decode("ascii").strip("[]"), url.port, url.raw_path, headers
    )


def _head_of(request: Any) -> _Head:
    return _Head(request.method, request.url, list(request.headers.raw))

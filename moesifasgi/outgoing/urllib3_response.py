"""urllib3's response while it is read, by an application or by requests: it tells what passes.

The response becomes one of a subclass, in place: it stays the object that it is, whoever holds it, and as
free of cycles, so that a forgotten one is closed as soon as before.
"""

from collections.abc import Callable, Generator
from functools import lru_cache, partial
from typing import Any

from urllib3.response import HTTPResponse

from moesifasgi.outgoing.call import OutgoingCall

_CALL, _READING = "_moesifasgi_call", "_moesifasgi_reading"


def watch(response: Any, call: OutgoingCall) -> None:
    """Have the response tell the call what is read of it."""
    if not isinstance(response, HTTPResponse):
        call.unseen()
        return
    response.__dict__[_CALL] = call
    response.__class__ = _watched(type(response))


def is_decoded(response: Any) -> bool:
    """Whether urllib3 can take the content coding off."""
    codings = response.headers.get("content-encoding", "").lower().split(",")
    return any(coding.strip() in response.CONTENT_DECODERS for coding in codings)


@lru_cache(maxsize=64)
def _watched(kind: type[HTTPResponse]) -> type[HTTPResponse]:
    if issubclass(kind, _Watched):
        return kind
    # Before urllib3 2.2 there is none, and who reads looks whether there is: io.TextIOWrapper, for one.
    mixin = _WatchedRead1 if hasattr(kind, "read1") else _Watched
    return type(kind.__name__, (mixin, kind), {"__slots__": (), "__module__": kind.__module__})


class _Watched(HTTPResponse):
    """Mixed into the response's own class."""

    __slots__ = ()

    def read(self, amt: Any = None, decode_content: Any = None, *arguments: Any, **named: Any) -> Any:
        data = self._told(partial(super().read, amt, decode_content, *arguments, **named), decode_content)
        if amt is None or amt < 0 or (amt and not data):
            self.__dict__[_CALL].completed()
        return data

    def read_chunked(self, amt: Any = None, decode_content: Any = None) -> Generator[bytes]:
        chunks = super().read_chunked(amt, decode_content)
        while (chunk := self._told(partial(next, chunks, None), decode_content)) is not None:
            yield chunk
        self.__dict__[_CALL].completed()

    def stream(self, *arguments: Any, **named: Any) -> Generator[bytes]:
        yield from super().stream(*arguments, **named)
        self.__dict__[_CALL].completed()

    def close(self) -> None:
        is_over = self.length_remaining == 0
        super().close()
        # urllib3 closes it too, before it says what is wrong.
        call = self.__dict__.get(_CALL)
        if call is not None and not self.__dict__.get(_READING):
            call.completed() if is_over else call.left()

    def __del__(self) -> None:
        # From here on nobody tells the call anything: it notices by itself that it is let go of.
        self.__dict__.pop(_CALL, None)
        super().__del__()

    def _told(self, read: Callable[[], Any], decode_content: Any) -> Any:
        call: OutgoingCall = self.__dict__[_CALL]
        self.__dict__[_READING] = True
        try:
            data = read()
        except Exception as error:
            call.failed(error)
            raise
        finally:
            self.__dict__[_READING] = False
        if data:
            decodes = self.decode_content if decode_content is None else decode_content
            call.received(data, decoded=bool(decodes) and is_decoded(self))
        return data


class _WatchedRead1(_Watched):
    __slots__ = ()

    def read1(self, amt: Any = None, decode_content: Any = None) -> Any:
        data = self._told(partial(super().read1, amt, decode_content), decode_content)
        if not data and amt != 0:
            self.__dict__[_CALL].completed()
        return data

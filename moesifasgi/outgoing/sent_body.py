"""The request's body of a synchronous client: what takes its place on its way out, and tells what passes."""

from collections.abc import Iterator
from typing import Any

from moesifasgi.outgoing.call import OutgoingCall
from moesifasgi.outgoing.capture import above, parts_above
from moesifasgi.outgoing.proxy import Proxy


def watched(body: Any, call: OutgoingCall) -> Any:
    """The body, or where it is read as it goes out, a stand-in that is read in its place."""
    if body is None:
        call.sent()
        return body
    if isinstance(body, (bytes, str)):
        whole: Any = body
    else:
        try:
            whole = memoryview(body).cast("B")
        except TypeError:
            return WatchedFile(body, call) if hasattr(body, "read") else WatchedParts(body, call)
    call.sending(whole)
    call.sent()
    return body


class WatchedFile(Proxy):
    """A file that is sent."""

    def __init__(self, file: Any, call: OutgoingCall) -> None:
        super().__init__(file)
        self._self_call = call

    def read(self, *arguments: Any) -> Any:
        data = above(self.__wrapped__.read, *arguments)
        self._self_tell(data)
        return data

    def seek(self, *arguments: Any) -> Any:
        # Only to send it once more: it has been asked for its size before it came to us.
        self._self_call.sending_anew()
        return above(self.__wrapped__.seek, *arguments)

    def __iter__(self) -> Iterator[Any]:
        for data in parts_above(self.__wrapped__):
            self._self_tell(data)
            yield data
        self._self_call.sent()

    def _self_tell(self, data: Any) -> None:
        if data:
            self._self_call.sending(data)
        else:
            self._self_call.sent()


class WatchedParts(Proxy):
    """An iterable, or a generator, of parts."""

    def __init__(self, parts: Any, call: OutgoingCall) -> None:
        super().__init__(parts)
        self._self_call = call

    def __iter__(self) -> Iterator[Any]:
        parts = above(iter, self.__wrapped__)
        if parts is not self.__wrapped__:
            # They begin anew each time that urllib3 tries again; what gives its parts only once does not.
            self._self_call.sending_anew()
        for data in parts_above(parts):
            self._self_call.sending(data)
            yield data
        self._self_call.sent()

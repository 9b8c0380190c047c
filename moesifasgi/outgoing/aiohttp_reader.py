"""aiohttp's response while it is read: a ``StreamReader`` that tells what the application gets of it."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp.streams import AsyncStreamIterator, ChunkTupleAsyncStreamIterator, StreamReader

from moesifasgi.outgoing.call import OutgoingCall
from moesifasgi.outgoing.proxy import Proxy


class WatchedReader(Proxy):
    """In place of ``ClientResponse.content``; the connection goes on feeding the reader itself."""

    def __init__(self, reader: Any, call: OutgoingCall, decoding: bool) -> None:
        super().__init__(reader)
        self._self_call = call
        self._self_decoding = decoding
        self._self_told_before = 0

    async def read(self, n: int = -1) -> bytes:
        return await self._self_told(self.__wrapped__.read(n))

    async def readany(self) -> bytes:
        return await self._self_told(self.__wrapped__.readany())

    async def readexactly(self, n: int) -> bytes:
        return await self._self_told(self.__wrapped__.readexactly(n))

    async def readline(self, *args: Any, **kwargs: Any) -> bytes:
        return await self._self_told(self.__wrapped__.readline(*args, **kwargs))

    async def readuntil(self, *args: Any, **kwargs: Any) -> bytes:
        return await self._self_told(self.__wrapped__.readuntil(*args, **kwargs))

    async def readchunk(self) -> tuple[bytes, bool]:
        chunk: tuple[bytes, bool] = await self._self_raising(self.__wrapped__.readchunk())
        self._self_tell(chunk[0])
        return chunk

    def read_nowait(self, n: int = -1) -> bytes:
        data: bytes = self.__wrapped__.read_nowait(n)
        self._self_tell(data)
        return data

    def unread_data(self, data: bytes) -> None:
        """Of a multipart response, mostly: what is pushed back is read once more."""
        self.__wrapped__.unread_data(data)
        self._self_told_before += len(data)

    def iter_chunked(self, n: int) -> Any:
        # Called for what it sets on the reader.
        self.__wrapped__.iter_chunked(n)
        return _iterated(lambda: self.read(n))

    def iter_any(self) -> Any:
        return _iterated(self.readany)

    def iter_chunks(self) -> Any:
        return ChunkTupleAsyncStreamIterator(cast(StreamReader, self))

    def __aiter__(self) -> Any:
        return _iterated(self.readline)

    def set_exception(self, exc: BaseException, *args: Any) -> None:
        """The response was closed before it was read; a broken connection tells the reader itself."""
        self.__wrapped__.set_exception(exc, *args)
        self._self_call.left()

    async def _self_told(self, reading: Awaitable[bytes]) -> bytes:
        data: bytes = await self._self_raising(reading)
        self._self_tell(data)
        return data

    async def _self_raising(self, reading: Awaitable[Any]) -> Any:
        try:
            return await reading
        except Exception as error:
            # A cancelled read is none: the application may try again.
            self._self_call.failed(error)
            raise

    def _self_tell(self, data: bytes) -> None:
        again = min(len(data), self._self_told_before)
        self._self_told_before -= again
        self._self_call.received(data[again:] if again else data, decoded=self._self_is_decoded())
        if self.__wrapped__.at_eof():
            self._self_call.completed()

    def _self_is_decoded(self) -> bool:
        if hasattr(self.__wrapped__, "total_compressed_bytes"):
            return self.__wrapped__.total_compressed_bytes is not None
        return self._self_decoding


def _iterated(read: Callable[[], Awaitable[bytes]]) -> Any:
    return AsyncStreamIterator(read)

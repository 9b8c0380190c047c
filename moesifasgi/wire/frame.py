"""A byte stream cut into payloads: a length (u32, big endian), then that many bytes of payload.

The decoder is sans-IO: feed it bytes cut anywhere, take payloads out. It refuses an oversized frame from its
length alone, before a byte of it is buffered.
"""

import struct

PREFIX = struct.Struct(">I")
MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Hard limit of one payload: two bodies and headers of any sane setting, and the bound of a hostile peer."""


class FrameTooLarge(ValueError):
    """The peer announced a payload over the limit."""


def frame(payload: bytes) -> bytes:
    """One payload with its length prefix."""
    return PREFIX.pack(len(payload)) + payload


class FrameDecoder:
    """Bytes in, payloads out. Holds at most one incomplete frame and what was fed after it."""

    __slots__ = ("_buffer", "_max_frame_bytes", "_start")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._start = 0
        self._max_frame_bytes = max_frame_bytes

    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer) - self._start

    def feed(self, data: bytes | memoryview) -> None:
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next_payload(self) -> bytes | None:
        """The next complete payload, or None until more is fed. Raises FrameTooLarge, and keeps raising."""
        start, buffer = self._start, self._buffer
        if len(buffer) - start < PREFIX.size:
            return None
        (length,) = PREFIX.unpack_from(buffer, start)
        if length > self._max_frame_bytes:
            raise FrameTooLarge(f"a frame of {length} bytes; the limit is {self._max_frame_bytes}")
        end = start + PREFIX.size + length
        if len(buffer) < end:
            return None
        self._start = end
        return bytes(memoryview(buffer)[start + PREFIX.size : end])

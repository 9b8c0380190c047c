"""What is kept of a body that passes by in parts. Pure."""

_MAX_PARTS = 256
"""Parts of a body that are kept apart: each is an object, which a client can make larger than its bytes."""


class BodyTap:
    """The first ``limit_bytes`` of a body and the size of all of it; ``limit_bytes`` None records nothing."""

    __slots__ = ("_kept", "_parts", "limit_bytes", "size")

    def __init__(self, limit_bytes: int | None) -> None:
        self.limit_bytes = limit_bytes
        self.size = 0
        self._kept = 0
        self._parts: list[bytes] = []

    def add(self, data: bytes) -> None:
        size = len(data)
        self.size += size
        limit = self.limit_bytes
        if limit is None or self._kept >= limit:
            return
        # Copies only what is cut or mutable: a whole slice of bytes is the same object.
        part = bytes(data[: limit - self._kept])
        self._kept += len(part)
        self._parts.append(part)
        if len(self._parts) >= _MAX_PARTS:
            self._parts = [b"".join(self._parts)]

    def content(self) -> bytes | None:
        """What was kept, or None where nothing was to be recorded."""
        if self.limit_bytes is None:
            return None
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

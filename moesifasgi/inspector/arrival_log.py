"""A file with a line of JSON for each item that arrived, for whoever counts after the inspector is gone."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import orjson

MAX_LOG_BYTES = 4 * 1024**3


class ArrivalLog:
    """Appends to a file that only its owner may read: items hold bodies and headers.

    Lines beyond ``max_bytes`` are not written, and counted in ``unwritten``. Errors of the disk are raised.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._bytes = 0
        self.unwritten = 0

    def append(self, at: float, label: str, stream: str, items: Iterable[tuple[bytes, bool]]) -> None:
        """Write (JSON of the item, whether it is a duplicate) of one upload, and flush."""
        file = self._opened()
        head = orjson.dumps({"arrived_at": at, "application": label, "stream": stream})[:-1]
        for raw, duplicate in items:
            flag = b"true" if duplicate else b"false"
            line = b'%b,"duplicate":%b,"item":%b}\n' % (head, flag, raw)
            if self._bytes + len(line) > self._max_bytes:
                self.unwritten += 1
            else:
                self._bytes += file.write(line)
        file.flush()

    def close(self) -> None:
        """May be called twice; a later append opens the file again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = open(self._path, "ab", opener=_owner_only)  # noqa: SIM115 - closed by close()
            self._bytes = self._file.tell()
        return self._file


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

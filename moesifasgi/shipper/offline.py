"""OFFLINE_FILE: what would be uploaded goes to a file instead, one JSON object a line (NDJSON).

The worker says so with a base URI of the scheme ``file``. Only an embedded shipper, which is the worker's own
user, writes where a worker tells it to.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from moesifasgi.shipper.outcome import Delivered, Outcome, RetryLater
from moesifasgi.wire.application import Application


def offline_file(application: Application) -> Path | None:
    """Where its items are written; None if they are uploaded."""
    parts = urlsplit(application.base_uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def write_lines(path: Path, bodies: Sequence[bytes]) -> Outcome:
    """Append encoded items; a batch of another process never falls in between.

    The file is made readable by its owner only; its directory has to be there.
    """
    lines = b"".join(body + b"\n" for body in bodies)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _write_whole(descriptor, lines)
        finally:
            os.close(descriptor)
    except OSError as error:
        return RetryLater(None, f"{path} cannot be written: {error.strerror}")
    return Delivered()


def _write_whole(descriptor: int, lines: bytes) -> None:
    """All of it or nothing: a retry must not find a part of what it writes again."""
    length = os.fstat(descriptor).st_size
    try:
        while lines:
            lines = lines[os.write(descriptor, lines) :]
    except OSError:
        os.ftruncate(descriptor, length)
        raise

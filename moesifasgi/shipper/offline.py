"""OFFLINE_FILE: what would be uploaded goes to a file instead, one JSON object a line (NDJSON).

The worker says so with a base URI of the scheme ``file``. Only an embedded shipper, which is the worker's own
user, writes where a worker tells it to.
"""

import errno
import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from moesifasgi.shipper.named_file import opened
from moesifasgi.shipper.outcome import Delivered, Outcome, RetryLater
from moesifasgi.wire.application import Application

LOCKED_S = 0.5
"""Longest wait for another process that writes to the file, which takes milliseconds."""


def offline_file(application: Application) -> Path | None:
    """Where its items are written; None if they are uploaded."""
    parts = urlsplit(application.base_uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def write_lines(path: Path, bodies: Sequence[bytes]) -> Outcome:
    """Append encoded items; a batch of another process never falls in between.

    The file is made readable by its owner only; its directory has to be there. What is no file, such as a
    pipe, is not written to, since that could wait for ever.
    """
    lines = b"".join(body + b"\n" for body in bodies)
    try:
        descriptor = opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            _lock(descriptor)
            _write_whole(descriptor, lines)
        finally:
            os.close(descriptor)
    except OSError as error:
        return RetryLater(None, f"{path} cannot be written: {error.strerror}")
    return Delivered()


def _lock(descriptor: int) -> None:
    """OSError where somebody holds on to it: any process that can read the file may."""
    deadline = time.monotonic() + LOCKED_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise OSError(errno.EAGAIN, "another process has locked it") from None
            time.sleep(0.01)
        else:
            return


def _write_whole(descriptor: int, lines: bytes) -> None:
    """All of it or nothing: a retry must not find a part of what it writes again."""
    length = os.fstat(descriptor).st_size
    try:
        while lines:
            lines = lines[os.write(descriptor, lines) :]
    except OSError:
        os.ftruncate(descriptor, length)
        raise

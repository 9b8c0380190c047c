"""What a leaving worker could not hand over, as a file for the next shipper of its state directory.

The file is the wire's own byte stream: HELLO, then the frames that nobody acknowledged. The shipper takes it
as it would take a connection of that session, so what it had got from the dying socket is not stored twice.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import Hello

PREFIX, SUFFIX = "left-", ".frames"


def leave_behind(directory: Path, hello: Hello, frames: Iterable[bytes]) -> None:
    """Write the file whole, or not at all. OSError where it cannot be."""
    path = directory / f"{PREFIX}{hello.session.hex()}{SUFFIX}"
    unfinished = path.with_suffix(".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(frame(encode(hello)))
            file.writelines(frames)
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise

"""A shipper whose state directory is a small file system of its own, which can be filled.

It lives in a mount namespace that only the shipper is in; its files are reached through ``/proc``.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.processes import eventually
from lab.status import status_at
from moesifasgi.places import SOCKET_NAME

STARTS_IN_S = 10.0
NAMESPACE = ("unshare", "--map-root-user", "--mount")
"""Runs a command that may mount what nobody else sees."""
# The reserve is below nothing: so the disk refuses, and not the shipper, which looks at it once a second.
_SCRIPT = """
mount -t tmpfs -o mode=700,size="$2" tmpfs "$1" &&
exec "$3" -m moesifasgi.shipper embedded --dir="$1" --linger=60 --durability=full \
    --spool-max-bytes=1000000000 --spool-min-free-bytes=-1000000000
"""


def missing_right() -> str | None:
    """Why no such disk can be made here; None if it can."""
    if not shutil.which("unshare"):
        return "needs unshare"
    tried = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    return "needs the right to mount a file system" if tried.returncode else None


class SmallDisk:
    """The disk of a running shipper."""

    def __init__(self, process: "subprocess.Popen[bytes]", directory: Path) -> None:
        self.process = process
        self.directory = Path(f"/proc/{process.pid}/root{directory}")
        """Its files, as seen from outside."""

    @property
    def socket(self) -> Path:
        return self.directory / SOCKET_NAME

    def status(self) -> dict[str, Any]:
        """What the shipper says of itself; nothing if it does not."""
        return status_at(self.socket)


@contextmanager
def shipper_on_a_small_disk(directory: Path, size: str) -> Iterator[SmallDisk]:
    """An embedded shipper, until the block ends."""
    script = [*NAMESPACE, "sh", "-c", _SCRIPT, "sh", str(directory), size, sys.executable]
    with subprocess.Popen(script, cwd="/") as process:
        disk = SmallDisk(process, directory)
        try:
            eventually(disk.status, STARTS_IN_S, "the shipper answers")
            yield disk
        finally:
            process.kill()

"""Files that somebody else names, a worker or the configuration: only a real file is opened.

To open a pipe waits for who writes, a terminal or a lease may wait too, and a device does what it likes. So
the name is looked at before, and what was opened again: something else may bear the name by then.
"""

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NEVER_WAIT = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def content_of(path: Path, max_bytes: int) -> bytes:
    """All of it. OSError, whose ``strerror`` says what was found instead, where it is no file or too long."""
    descriptor = opened(path, os.O_RDONLY)
    with open(descriptor, "rb") as file:
        content: bytes | None = file.read(max_bytes + 1)
    if content is None:
        # Files of the kernel's that wait for news, such as /proc/kmsg, call themselves files too.
        raise OSError(errno.EAGAIN, "found something that has to be waited for")
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"found more than {max_bytes} bytes")
    return content


def opened(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of a real file, had without waiting. OSError as above. ``O_CREAT`` makes one."""
    try:
        _refuse_other(path.stat())
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise OSError(errno.ENOENT, "found nothing") from None
    descriptor = os.open(path, flags | _NEVER_WAIT, mode)
    try:
        _refuse_other(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_other(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(errno.EINVAL, f"found {kind}")

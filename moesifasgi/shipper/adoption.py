"""Taking over what workers left behind as files when they ended with no shipper at hand.

A file goes only after its frames are stored; a crash in between costs nothing, since the session's sequence
says what is stored already.
"""

import os
import stat
from collections.abc import Callable, Collection
from pathlib import Path

from moesifasgi.channel.leftovers import PREFIX, SUFFIX
from moesifasgi.quiet import say
from moesifasgi.shipper.intake import Intake, ProtocolError
from moesifasgi.shipper.registry import RegistryFull
from moesifasgi.shipper.spool import SpoolError
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Event, Hello

DAMAGED_SUFFIX = ".damaged"


def adopt(directory: Path, intake: Intake, alive: Collection[bytes], commit: Callable[[], bool]) -> None:
    """Store what the files in ``directory`` hold, except those of sessions that are ``alive``.

    ``commit`` stores what the intake was given; False leaves the files for another time.
    """
    for path in sorted(directory.glob(f"{PREFIX}*{SUFFIX}")):
        damaged = False
        try:
            if not _is_ours(path) or not _take(path.read_bytes(), intake, alive):
                continue
        except (OSError, ValueError, ProtocolError) as error:
            # What stands before the damage was taken; the file is kept for people.
            say("damaged leftovers", "what a worker left behind cannot be read whole: %s", error)
            damaged = True
        except (SpoolError, RegistryFull):
            return
        if not commit():
            return
        if damaged:
            path.rename(path.with_suffix(DAMAGED_SUFFIX))
        else:
            path.unlink()


def _is_ours(path: Path) -> bool:
    """A regular file of our own user: what else lies there, such as a pipe, is not opened."""
    found = path.lstat()
    ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    if not ours:
        say("foreign leftovers", "left alone: %s, which is no file of this user's", path.name)
    return ours


def _take(stream: bytes, intake: Intake, alive: Collection[bytes]) -> bool:
    """Give the stream to the intake; False if its session is alive and will resend by itself."""
    decoder = FrameDecoder()
    decoder.feed(stream)
    hello = _next(decoder)
    if not isinstance(hello, Hello):
        raise ProtocolError("expected HELLO first")
    if hello.session in alive:
        return False
    session = intake.greet(hello)
    while (event := _next(decoder)) is not None:
        if not isinstance(event, Event):
            raise ProtocolError("expected nothing but events")
        intake.take(session, event)
    if decoder.buffered_bytes:
        raise ProtocolError("the last frame is cut")
    return True


def _next(decoder: FrameDecoder) -> object:
    payload = decoder.next_payload()
    return None if payload is None else decode(payload)

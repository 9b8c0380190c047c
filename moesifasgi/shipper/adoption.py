"""Taking over what workers left behind as files when they ended with no shipper at hand.

A file goes only after its frames are stored; a crash in between costs nothing, since the session's sequence
says what is stored already.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from moesifasgi.channel.leftovers import Found, found_at, left_in, sweep
from moesifasgi.quiet import say
from moesifasgi.shipper.intake import Intake, ProtocolError
from moesifasgi.shipper.registry import Unwelcome
from moesifasgi.shipper.spool import SpoolError
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Event, Hello


def adopt(directory: Path, intake: Intake, alive: Collection[bytes], commit: Callable[[], bool]) -> None:
    """Store what the files in ``directory`` hold, except those of sessions that are ``alive``.

    ``commit`` stores what the intake was given; False leaves the files for another time.
    """
    sweep(directory)
    for path in left_in(directory):
        with found_at(path) as found:
            if found is not None and not _adopt_one(found, intake, alive, commit):
                return


def _adopt_one(found: Found, intake: Intake, alive: Collection[bytes], commit: Callable[[], bool]) -> bool:
    """False if the spool refuses for now."""
    damage: Exception | None = None
    try:
        if not _take(found.content, intake, alive):
            return True
    except (ValueError, ProtocolError) as error:
        # What stands before the damage was taken.
        damage = error
    except Unwelcome as error:
        say("unwelcome leftovers", "what a worker left behind stays where it is: %s", error)
        return True
    except SpoolError:
        return False
    if not commit():
        return False
    if damage is None:
        found.taken()
    else:
        found.damaged(damage)
    return True


def _take(stream: bytes, intake: Intake, alive: Collection[bytes]) -> bool:
    """Give the stream to the intake; False if its session is alive and will resend by itself."""
    decoder = FrameDecoder()
    decoder.feed(stream)
    hello = _next(decoder)
    if not isinstance(hello, Hello):
        raise ProtocolError("expected HELLO first")
    if hello.session in alive:
        return False
    session = intake.greet(hello._replace(bequeathed=True))
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

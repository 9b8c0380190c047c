"""What is put in a queue: pieces of its writers' streams of frames, each small enough to be written at once.

All workers of a server write to one pipe. The kernel writes up to ``PUT_BYTES`` whole or not at all, so no
lock keeps them apart, and whoever is killed between two puts, or in one, spoils nothing of the others': the
reader keeps the streams apart by each piece's head.

    length(u32)  session(16 bytes)  stream(u32)  up to ROOM_BYTES of the stream
    as a multiprocess Connection frames what it is given

A stream is what one connection of a session puts there: its EVENT frames one after another, cut anywhere. A
connection that follows has the next number, so that what the older one had begun is told from it.
"""

import struct

from moesifasgi.wire.frame import PREFIX
from moesifasgi.wire.messages import SESSION_BYTES

PUT_BYTES = 4096
"""PIPE_BUF on Linux."""
_HEAD = struct.Struct(f">{SESSION_BYTES}sI")
MAX_PIECE_BYTES = PUT_BYTES - PREFIX.size
ROOM_BYTES = MAX_PIECE_BYTES - _HEAD.size
MAX_STREAM = (1 << 32) - 1


def head(session: bytes, stream: int) -> bytes:
    """What stands before each piece of this stream."""
    return _HEAD.pack(session, stream & MAX_STREAM)


def split(piece: bytes) -> tuple[bytes, int, bytes]:
    """Session, stream, and the bytes of it. ValueError where there are none."""
    if len(piece) <= _HEAD.size:
        raise ValueError(f"a piece is longer than its head of {_HEAD.size} bytes, got {len(piece)}")
    session, stream = _HEAD.unpack_from(piece)
    return session, stream, piece[_HEAD.size :]

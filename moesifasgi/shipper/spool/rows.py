"""A chunk as one row, and back. Pure.

A row is sealed: a CRC-32 over its compressed body and over every fact that says whose it is and where it
belongs. So a damaged file can lose a row, but cannot give an item to the wrong application, session or place.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import msgpack

from moesifasgi.shipper.compression import compress, decompress
from moesifasgi.shipper.spool import Chunk, Item, KeptDeadLetter, Lane, StoredChunk, pack_items, unpack_items


class DamagedRow(ValueError):
    """What was read is not what was written."""


class ChunkRow(NamedTuple):
    """One chunk as it is stored. Sizes are bytes, times seconds since the epoch."""

    row: int
    lane: Lane
    session: bytes
    appended_at: float
    events: int
    unpacked_bytes: int
    """Length of the body before compression; bounds what decompression may produce."""
    sequences: bytes
    """``pack_sequences`` of the items' sequences."""
    seal: int
    body: bytes
    """``pack_items`` of the items, compressed."""


def seal(body: bytes, *facts: object) -> int:
    """Checksum of a body and of the facts stored beside it; facts are what msgpack can pack."""
    return zlib.crc32(msgpack.packb(facts), zlib.crc32(body))


def is_sealed(sealed: object, body: object, *facts: object) -> bool:
    """True if body and facts are what was sealed. A damaged file may have anything in their place."""
    return isinstance(body, bytes) and seal(body, *facts) == sealed


def pack_sequences(sequences: Sequence[int]) -> bytes:
    """Ascending sequences as runs: first, how many, first, how many … A chunk is nearly always one run."""
    runs: list[int] = []
    if sequences[-1] - sequences[0] == len(sequences) - 1:
        runs = [sequences[0], len(sequences)]
    else:
        for sequence in sequences:
            if runs and sequence == runs[-2] + runs[-1]:
                runs[-1] += 1
            else:
                runs += [sequence, 1]
    packed: bytes = msgpack.packb(runs)
    return packed


def unpack_sequences(packed: bytes) -> tuple[int, ...]:
    """The sequences of ``pack_sequences``. Only for what a seal has vouched for: a run has no bound here."""
    runs: list[int] = msgpack.unpackb(packed)
    firsts, counts = runs[::2], runs[1::2]
    return tuple(
        sequence
        for first, count in zip(firsts, counts, strict=True)
        for sequence in range(first, first + count)
    )


def to_row(chunk: Chunk, row: int, now: float) -> ChunkRow:
    """A chunk ready to be stored. ValueError if it has no items, or not one ascending sequence for each."""
    count, sequences = len(chunk.items), chunk.sequences
    ascending = all(map(int.__lt__, sequences, sequences[1:]))
    if not count or len(sequences) != count or not ascending:
        raise ValueError(f"a chunk has items with ascending sequences, not {count} with {len(sequences)}")
    unpacked = pack_items(chunk.items)
    body, packed = compress(unpacked), pack_sequences(sequences)
    facts = (row, *chunk.lane, chunk.session, now, count, len(unpacked), packed)
    return ChunkRow(
        row, chunk.lane, chunk.session, now, count, len(unpacked), packed, seal(body, *facts), body
    )


def is_intact(row: ChunkRow) -> bool:
    """True if body and facts are what was written."""
    facts = (row.row, *row.lane, row.session, row.appended_at, row.events, row.unpacked_bytes, row.sequences)
    return is_sealed(row.seal, row.body, *facts)


def chunk_of(kept: KeptDeadLetter) -> Chunk:
    """A dead letter as it came."""
    letter = kept.letter
    return Chunk(kept.lane, letter.session, (letter.sequence,), (Item(letter.kind, letter.payload),))


def from_row(row: ChunkRow) -> StoredChunk:
    """The chunk of a row. Raises DamagedRow."""
    if not is_intact(row):
        raise DamagedRow(f"row {row.row} does not match its seal")
    try:
        items = tuple(unpack_items(decompress(row.body, row.unpacked_bytes)))
    except ValueError as error:
        raise DamagedRow(f"row {row.row}: {error}") from error
    return StoredChunk(row.row, row.session, unpack_sequences(row.sequences), items, row.appended_at)

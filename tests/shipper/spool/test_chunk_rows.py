"""Rows and their seals, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.shipper.spool import Chunk, Item, Lane
from moesifasgi.shipper.spool.rows import DamagedRow, from_row, pack_sequences, to_row, unpack_sequences

CHUNK = Chunk(
    Lane("application", "events"), b"s" * 16, (3, 4, 9), tuple(Item(k, b"payload") for k in range(3))
)


@given(st.sets(st.integers(0, 2**63 - 1), min_size=1))
def test_any_ascending_sequences_come_back(sequences: set[int]) -> None:
    ascending = tuple(sorted(sequences))
    assert unpack_sequences(pack_sequences(ascending)) == ascending


def test_a_chunk_of_one_run_needs_a_few_bytes_for_its_sequences() -> None:
    assert len(pack_sequences(range(10**12, 10**12 + 230))) <= 12


def test_a_row_gives_its_chunk_back() -> None:
    stored = from_row(to_row(CHUNK, 7, 5.5))
    assert (stored.row, stored.session, stored.sequences) == (7, CHUNK.session, CHUNK.sequences)
    assert (stored.items, stored.appended_at) == (CHUNK.items, 5.5)


@pytest.mark.parametrize(
    "change",
    [
        {"row": 8},
        {"lane": Lane("application", "users")},
        {"lane": Lane("somebody else", "events")},
        {"session": b"t" * 16},
        {"appended_at": 5.25},
        {"events": 4},
        {"unpacked_bytes": 10**9},
        {"sequences": pack_sequences((3, 4, 8))},
        {"seal": 0},
        {"body": b""},
        {"body": None},
        {"events": None},
        {"sequences": "text"},
    ],
    ids=str,
)
def test_a_row_is_refused_when_any_fact_of_it_was_changed(change: dict[str, object]) -> None:
    with pytest.raises(DamagedRow):
        from_row(to_row(CHUNK, 7, 5.5)._replace(**change))

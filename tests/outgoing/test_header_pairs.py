"""Header fields of client libraries as bytes."""

import pytest

from moesifasgi.outgoing.header_pairs import header_pairs


@pytest.mark.parametrize(
    ("fields", "pairs"),
    [
        ([("A", "1"), ("a", "2")], [(b"A", b"1"), (b"a", b"2")]),
        ([("A", "é")], [(b"A", b"\xe9")]),
        ([("A", "\u20ac"), ("B", "1")], [(b"A", b"?"), (b"B", b"1")]),
        ([(b"A", b"\xff"), ("B", 7)], [(b"A", b"\xff"), (b"B", b"7")]),
        ([], []),
    ],
)
def test_fields_are_pairs_of_bytes_in_their_order(fields: list[tuple[object, object]], pairs: object):
    assert header_pairs(iter(fields)) == pairs

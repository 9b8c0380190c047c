"""A policy document as it travels: its parts, its limits, and what is no document."""

from typing import Any

import pytest

from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import MAX_FRAME_BYTES, frame
from moesifasgi.wire.messages import Policy
from moesifasgi.wire.policy_document import (
    MAX_LEVELS,
    MAX_PART_BYTES,
    NO_CONFIG,
    NO_RULES,
    joined,
    pack_part,
    unpack,
)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_two_parts_make_a_document() -> None:
    config, rules = {"sample_rate": 7, "user_rules": {"ä": [{"rules": "r"}]}}, [{"_id": "r", "block": None}]
    assert unpack(joined(pack_part(config), pack_part(rules))) == {"config": config, "rules": rules}


def test_an_empty_part_is_there_all_the_same() -> None:
    assert unpack(joined(NO_CONFIG, NO_RULES)) == {"config": {}, "rules": []}


def test_the_largest_document_fits_in_a_frame() -> None:
    largest = joined(bytes(MAX_PART_BYTES), bytes(MAX_PART_BYTES))
    assert len(frame(encode(Policy(127, largest)))) <= MAX_FRAME_BYTES


@pytest.mark.parametrize("part", [["x" * MAX_PART_BYTES], [1.5] * (MAX_PART_BYTES // 9 + 1)])
def test_a_part_that_is_too_large_is_refused(part: list[Any]) -> None:
    with pytest.raises(ValueError, match="larger than"):
        pack_part(part)


def test_a_part_may_be_nested_so_deep_and_no_deeper() -> None:
    assert unpack(joined(NO_CONFIG, pack_part(nested(MAX_LEVELS))))["rules"] == nested(MAX_LEVELS)
    for levels in (MAX_LEVELS + 1, 900, 1500):
        with pytest.raises(ValueError, match="levels deep"):
            pack_part(nested(levels))


def test_maps_count_as_levels_too() -> None:
    with pytest.raises(ValueError, match="levels deep"):
        pack_part({"a": [{"b": nested(MAX_LEVELS - 2)}]})


@pytest.mark.parametrize(
    "document", [b"", b"\xc1", b"\x90", b"\xc0", b"\x82\x01", b"\x91" * 5_000, b"\x80\x80"]
)
def test_what_is_no_document_is_a_value_error(document: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(document)

"""Values of any kind as ones that every encoder takes."""

import dataclasses
import enum
import ipaddress
import json
import time
import uuid
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.event.jsonable import jsonable, well_formed


class Plan(enum.Enum):
    FREE = "free"


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self) -> str:
        raise RuntimeError("not to be asked")


@dataclasses.dataclass(slots=True)
class Account:
    id: int
    since: date
    socket: object


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (datetime(2024, 5, 1, 12, 0, 1, tzinfo=UTC), "2024-05-01T12:00:01+00:00"),
        (date(2024, 5, 1), "2024-05-01"),
        (timedelta(minutes=1), 60.0),
        (Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (ipaddress.ip_address("::1"), "::1"),
        (PurePosixPath("/a"), "/a"),
        (b"text", "text"),
        (b"\xff", "/w=="),
        (bytearray(b"a"), "a"),
        (Plan.FREE, "free"),
        (Level.HIGH, 3),
        (Text("a"), "a"),
        (Account(1, date(2024, 5, 1), object()), {"id": 1, "since": "2024-05-01"}),
        ((1, {2}, frozenset({3}), deque([4]), range(2)), [1, [2], [3], [4], [0, 1]]),
        (OrderedDict({Plan.FREE: 1, 2: 2, None: 3, object(): 4}), {"free": 1, "2": 2, "None": 3}),
        ([float("nan"), float("inf"), 1.5, True], [None, None, 1.5, True]),
        ([2**64, -(2**63)], ["18446744073709551616", -(2**63)]),
        ("a\ud800b\ud83d\ude00", "a\ufffdb\U0001f600"),
        ({"\ud800": 1}, {"\ufffd": 1}),
        (object(), None),
    ],
)
def test_values_of_the_standard_library_become_json(value, made):
    """A10: a datetime in the metadata cost the whole batch."""
    assert jsonable(value) == made


def test_an_int_of_any_length_is_written():
    assert jsonable(10**6000) == hex(10**6000)


def test_what_is_unknown_is_left_out_of_a_map_and_null_in_a_list():
    """A10: one bad value made the event, and its batch, unserialisable."""
    assert jsonable({"a": object(), "b": 1, "c": [object(), 2], "d": lambda: 0}) == {"b": 1, "c": [None, 2]}


def test_a_value_within_itself_is_left_out():
    value: dict[str, Any] = {"a": 1}
    value["self"] = value
    value["list"] = [value, 2]
    assert jsonable(value) == {"a": 1, "list": [None, 2]}


def test_the_same_value_twice_is_no_cycle():
    shared = {"a": 1}
    assert jsonable([shared, shared]) == [shared, shared]


def test_nesting_is_cut_at_the_depth():
    assert jsonable({"a": {"b": {"c": 1}}, "d": [[[]]]}, max_depth=2) == {"a": {}, "d": [None]}


def test_shared_parts_cannot_grow_exponentially():
    value: list[Any] = [1]
    for _ in range(60):
        value = [value, value]
    started = time.process_time()
    assert len(orjson.dumps(jsonable(value))) < 200_000
    assert time.process_time() - started < 2


def test_an_endless_sequence_is_cut():
    assert len(jsonable(range(10**12), max_nodes=100)) == 99


def test_numbers_of_numpy_are_read_without_its_import():
    class Scalar:
        ndim = 0

        def item(self) -> object:
            return 7

    Scalar.__module__ = "numpy"
    assert jsonable({"a": Scalar()}) == {"a": 7}


def test_the_value_itself_is_left_as_it_was():
    value = {"a": [1, {"b": Decimal(1)}]}
    made = jsonable(value)
    made["a"][1]["b"] = "changed"
    assert value == {"a": [1, {"b": Decimal(1)}]}


KEYS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()
LEAVES = (
    KEYS | st.decimals() | st.uuids() | st.characters(categories=["Cs"]) | st.timedeltas() | st.builds(object)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8)


@given(VALUES)
def test_any_value_is_accepted_by_strict_encoders(value):
    made = jsonable(value)
    orjson.dumps(made)
    json.dumps(made, allow_nan=False).encode()


@given(st.text(alphabet=st.characters(categories=["Cs", "Lu", "So"])))
def test_well_formed_text_can_be_encoded_and_stays_as_it_is(text):
    made = well_formed(text)
    made.encode()
    assert well_formed(made) == made

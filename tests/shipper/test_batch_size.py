"""How large batches are: what the application says, what waits, and what got through."""

import pytest

from moesifasgi.shipper.batch import Batch, Entry, OpenChunk
from moesifasgi.shipper.batch_size import (
    MAX_BATCH_SIZE,
    MIN_UPLOAD_BYTES,
    START_BATCH_SIZE,
    UploadBytes,
    filling,
    may_be_smaller,
    most_items,
)
from moesifasgi.shipper.payload import MAX_UPLOAD_BYTES
from moesifasgi.shipper.spool import Item, StoredChunk
from moesifasgi.wire.application import Application


def batch(items: int, size: int) -> Batch:
    chunk = OpenChunk(StoredChunk(1, b"s", (1,), (Item(1, b""),), 0.0), 0.0)
    return Batch(tuple(Entry(chunk, 0, bytes(size)) for _ in range(items)))


@pytest.mark.parametrize(
    ("batch_size", "waiting", "most"),
    [
        (None, 2 * START_BATCH_SIZE - 1, START_BATCH_SIZE),
        (None, 2 * START_BATCH_SIZE, MAX_BATCH_SIZE),
        (7, 1_000, 7),
    ],
)
def test_batches_grow_with_the_backlog_unless_the_application_says_how_large(
    batch_size: int | None, waiting: int, most: int
):
    application = Application("a", batch_size=batch_size)
    assert most_items(application, waiting) == most
    assert filling(application) == (batch_size or START_BATCH_SIZE)


def test_what_was_too_large_halves_the_next_and_each_delivery_lets_them_grow_again():
    size = UploadBytes()
    size.too_large(batch(10, 100_000))
    assert size.most == 500_000
    size.too_large(batch(10, 200_000))
    assert size.most == 500_000, "it never grows by a failure"
    size.delivered()
    assert size.most == 500_000 + MIN_UPLOAD_BYTES
    for _ in range(100):
        size.delivered()
    assert size.most == MAX_UPLOAD_BYTES


def test_batches_are_made_no_smaller_than_a_floor_ahead_of_time():
    size = UploadBytes()
    size.too_large(batch(2, 100))
    assert size.most == MIN_UPLOAD_BYTES


@pytest.mark.parametrize(("items", "size", "may"), [(1, 10**6, False), (2, 1_000, False), (2, 40_000, True)])
def test_only_what_has_halves_worth_trying_is_halved(items: int, size: int, may: bool):
    assert may_be_smaller(batch(items, size)) is may

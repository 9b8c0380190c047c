"""Batches that came back: which is tried next, and which fails alone."""

from moesifasgi.shipper.batch import Batch, Entry, OpenChunk
from moesifasgi.shipper.returned import DOUBTED_AFTER, Returned
from moesifasgi.shipper.spool import Item, StoredChunk


def batch(items: int = 1, **facts) -> Batch:
    chunk = OpenChunk(StoredChunk(1, b"s", tuple(range(items)), (Item(1, b"{}"),) * items, 0.0), 0.0)
    return Batch(tuple(Entry(chunk, index) for index in range(items)), **facts)


def failed_again(returned: Returned, failing: Batch, now: float) -> Batch:
    """The batch fails once more; as it is afterwards."""
    returned.failed(failing, now)
    (again,) = (each for each in returned if each.entries == failing.entries)
    return again


def test_what_failed_comes_first_until_it_is_doubted_and_last_from_then_on() -> None:
    returned = Returned(ordered=False)
    other, failing = batch(), batch()
    returned.first(other)
    for number in range(1, DOUBTED_AFTER + 2):
        failing = failed_again(returned, failing, now=float(number))
        assert (failing.failures, failing.retry) == (number, True)
        is_doubted = number >= DOUBTED_AFTER
        assert failing.doubted_at == (DOUBTED_AFTER if is_doubted else float("inf"))
        assert list(returned) == ([other, failing] if is_doubted else [failing, other])
        assert returned.doubted is False
        while returned.take(10.0):
            pass
        returned.first(other)
    while returned.take(10.0):
        pass
    returned.last(failing)
    assert returned.doubted


def test_where_order_matters_what_failed_stays_first() -> None:
    returned = Returned(ordered=True)
    returned.last(batch())
    failing = batch(failures=DOUBTED_AFTER)
    returned.failed(failing, now=1.0)
    assert returned.doubted
    taken = returned.take(1.0)
    assert taken is not None
    assert taken.failures == DOUBTED_AFTER + 1


def test_halves_are_doubted_anew_if_the_whole_was() -> None:
    for failures, doubted_at in ((0, float("inf")), (DOUBTED_AFTER, 7.0)):
        returned = Returned(ordered=False)
        returned.last(batch())
        returned.halve(batch(5, failures=failures, doubted_at=doubted_at and 1.0), now=7.0)
        halves = list(returned)[:2]
        assert [len(half.entries) for half in halves] == [2, 3]
        assert [entry.index for half in halves for entry in half.entries] == [0, 1, 2, 3, 4]
        assert {half.failures for half in halves} == {failures}
        if failures:
            assert {half.doubted_at for half in halves} == {7.0}


def test_an_item_that_is_set_apart_waits_alone_and_where_order_matters_all_wait_with_it() -> None:
    for ordered in (False, True):
        returned, other = Returned(ordered=ordered), batch()
        returned.last(other)
        returned.set_apart(batch(), not_before=5.0)
        assert returned.due_at() == (5.0 if ordered else float("-inf"))
        assert returned.take(4.0) is (None if ordered else other)
        waited = returned.take(5.0)
        assert waited is not None
        assert waited.failed_alone == 1


def test_nothing_is_due_where_nothing_came_back() -> None:
    returned = Returned(ordered=False)
    assert (returned.due_at(), returned.take(0.0), bool(returned), returned.doubted) == (
        None,
        None,
        False,
        False,
    )

"""One lane's state: what is read ahead, how batches are cut, when chunks are settled."""

import pytest

from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.lane import ORDERED_STREAMS, READ_AHEAD_BYTES, LaneState
from moesifasgi.shipper.outcome import RetryLater
from moesifasgi.shipper.payload import MAX_UPLOAD_BYTES, Unserialisable
from moesifasgi.shipper.spool import Item, Lane, StoredChunk
from moesifasgi.shipper.stretch import FRESH_S, MAX_STRETCHES
from moesifasgi.wire.application import Application

NEVER_EXPIRES = float("-inf")


def lane_state(stream="events", **settings) -> LaneState:
    return LaneState(Lane("a", stream), Application("a", **settings), Pace())


def chunk(row, count, payload=b"p", appended_at=0.0) -> StoredChunk:
    items = tuple(Item(1, payload + b"%d" % index) for index in range(count))
    return StoredChunk(row, b"s", tuple(range(count)), items, appended_at)


def encode(item: Item) -> bytes:
    if b"poison" in item.payload:
        raise Unserialisable("no")
    return item.payload


def cut(state, now=0.0, flush=False, encode=encode, expires_before=NEVER_EXPIRES):
    batch = state.next_batch(now, flush=flush, encode=encode, expires_before=expires_before)
    return batch if batch is None else len(batch.entries)


def next_batch(state, flush=True):
    return state.next_batch(0.0, flush=flush, encode=encode, expires_before=NEVER_EXPIRES)


def wanted(state, stretch=None) -> int:
    found = state.wanted(stretch or state.stretches[0])
    return found.items if found else 0


def test_a_batch_waits_until_it_is_full_or_its_oldest_item_has_waited_long_enough():
    state = lane_state(batch_timeout_s=1.0)
    state.take([chunk(1, 24)], now=10.0)
    assert state.due_at(flush=False) == 11.0
    assert cut(state, now=10.9) is None
    state.take([chunk(2, 1)], now=10.9)
    assert cut(state, now=10.9) == 25
    state.take([chunk(3, 3)], now=20.0)
    assert cut(state, now=21.0) == 3


def test_a_drain_does_not_wait_for_the_batch_to_fill():
    state = lane_state()
    state.take([chunk(1, 1)], now=0.0)
    assert cut(state, flush=True) == 1


def test_batches_grow_to_two_hundred_while_two_are_waiting():
    """B2: the ceiling of the published package was one small batch per tick."""
    state = lane_state()
    state.take([chunk(1, 449)], now=0.0)
    assert [cut(state) for _ in range(4)] == [200, 200, 25, None]
    state.take([chunk(2, 26)], now=0.0)
    assert cut(state) == 200 - 150


def test_a_batch_size_that_the_user_has_set_is_the_most():
    state = lane_state(batch_size=10)
    state.take([chunk(1, 100)], now=0.0)
    assert [cut(state) for _ in range(11)] == [10] * 10 + [None]


def test_an_upload_is_bounded_in_bytes():
    state = lane_state(batch_size=100)
    state.take([chunk(1, 12, b"x" * 900_000)], now=0.0)
    batch = next_batch(state)
    assert sum(map(len, batch.bodies)) <= MAX_UPLOAD_BYTES
    assert [len(batch.entries), cut(state, flush=True), cut(state, flush=True)] == [5, 5, 2]


def test_reading_ahead_is_bounded_in_items_and_bytes():
    state = lane_state(concurrent_uploads=4)
    state.take([chunk(1, 1000, b"x" * 10)], now=0.0)
    assert wanted(state) == 600
    large = lane_state()
    while wanted(large):
        large.take([chunk(large.cursor + 1, 10, b"x" * 100_000)], now=0.0)
    assert large.cursor * 1_000_000 <= READ_AHEAD_BYTES + 2_000_000


def test_nothing_more_is_read_while_nothing_can_be_delivered():
    state = lane_state()
    state.gate.back_off(RetryLater(None, "503"), 0.0, 0.0, 0.5)
    assert wanted(state) > 0
    state.take([chunk(1, 10)], now=0.0)
    assert wanted(state) == 0


def test_a_chunk_is_settled_when_each_of_its_items_has_a_fate():
    state = lane_state()
    state.take([chunk(1, 25), chunk(2, 25)], now=0.0)
    first = state.next_batch(0.0, flush=False, encode=encode, expires_before=NEVER_EXPIRES)
    half = len(first.entries) // 2
    state.bisect(first, 0.0)
    left, right = next_batch(state), next_batch(state)
    assert [len(left.entries), len(right.entries)] == [half, len(first.entries) - half]
    state.delivered(right)
    assert [settled.row for settled in state.held.settlements()] == [2]
    for entry in left.entries:
        state.held.dead_letter(entry, "400", "no")
    settlements = {settled.row: settled for settled in state.held.settlements()}
    assert len(settlements[1].dead_letters) == 25
    assert state.oldest_row == 1
    state.held.settled()
    assert (state.held.settlements(), state.oldest_row) == ([], None)


def test_a_batch_that_comes_back_goes_first_and_is_the_same():
    state = lane_state()
    state.take([chunk(1, 60)], now=0.0)
    first = next_batch(state)
    state.give_back(first, 0.0, blamed=True)
    state.take([chunk(2, 60)], now=0.0)
    again = next_batch(state)
    assert (again.bodies, again.retry) == (first.bodies, True)


def test_a_poison_item_is_a_dead_letter_and_its_batch_goes_on():
    """A9, A10: what cannot be encoded costs only itself."""
    state = lane_state()
    poison = StoredChunk(2, b"s", (7,), (Item(1, b"poison"),), 0.0)
    state.take([chunk(1, 2), poison, chunk(3, 2)], now=0.0)
    assert cut(state, flush=True) == 4
    (settled,) = state.held.settlements()
    assert (settled.row, settled.dead_letters[0].sequence, settled.dead_letters[0].code) == (
        2,
        7,
        "unserialisable",
    )


def test_a_chunk_of_nothing_but_poison_makes_no_batch():
    state = lane_state()
    state.take([chunk(1, 3, b"poison")], now=0.0)
    assert cut(state, flush=True) is None
    assert len(state.held.settlements()[0].dead_letters) == 3


def test_items_that_are_too_old_are_dropped_as_expired():
    state = lane_state()
    state.take([chunk(1, 3, appended_at=99.0), chunk(2, 3, appended_at=100.0)], now=0.0)
    assert cut(state, flush=True, expires_before=100.0) == 3
    assert dict(state.held.settlements()[0].dropped) == {"expired": 3}


def test_after_a_refusal_for_size_the_next_uploads_are_smaller_and_grow_again():
    state = lane_state(batch_size=100)
    state.take([chunk(1, 20, b"x" * 100_000)], now=0.0)
    state.bisect(next_batch(state), 0.0, too_large=True)
    state.take([chunk(2, 20, b"x" * 100_000)], now=0.0)
    halves = [next_batch(state), next_batch(state)]
    assert cut(state, flush=True) == 9
    for half in halves:
        state.delivered(half)
    assert cut(state, flush=True) == 11


@pytest.mark.parametrize(
    ("stream", "concurrency"), [("events", 4), ("actions", 4), ("users", 1), ("companies", 1)]
)
def test_only_what_needs_no_order_is_uploaded_concurrently(stream, concurrency):
    assert lane_state(stream, concurrent_uploads=4).concurrency == concurrency


def test_while_everything_is_refused_the_newest_item_alone_is_the_witness():
    state = lane_state()
    state.take([chunk(1, 30)], now=0.0)
    state.give_back(next_batch(state), 0.0, blamed=True)
    state.take([chunk(2, 1, b"newest")], now=0.0)
    assert state.witness(encode, NEVER_EXPIRES).bodies == [b"newest0"]
    assert state.witness(encode, NEVER_EXPIRES).bodies == [b"p29"]
    last = [state.witness(encode, NEVER_EXPIRES) for _ in range(4)]
    assert [batch.bodies for batch in last] == [[b"p28"], [b"p27"], [b"p26"], [b"p25"]]
    assert state.witness(encode, NEVER_EXPIRES).bodies == [b"p0"]


def behind(rows=10, **settings) -> LaneState:
    """A lane that holds all it may of rows appended at 0, and was told that there are ``rows`` in all."""
    state = lane_state(**settings)
    state.take([chunk(1, 1600)], now=0.0)
    state.read_behind(rows)
    return state


@pytest.mark.parametrize(("wall_now", "expected"), [(4.0, False), (6.0, True), (-3600.0, True)])
def test_what_came_before_the_clock_was_set_back_is_not_taken_for_fresh(wall_now, expected):
    state = lane_state()
    state.news()
    state.take([chunk(1, 1600)], now=0.0)
    assert state.is_behind(wall_now) is expected


def rows_of(batch) -> set[int]:
    return {entry.chunk.stored.row for entry in batch.entries}


def test_a_lane_is_behind_when_it_holds_all_it_may_and_that_is_old():
    state = lane_state()
    state.take([chunk(1, 1599)], now=0.0)
    assert not state.is_behind(100.0), "there is room for more"
    state.take([chunk(2, 1)], now=0.0)
    assert not state.is_behind(FRESH_S - 1)
    assert state.is_behind(FRESH_S + 1)
    state.take([], now=0.0)
    assert not state.is_behind(100.0), "nothing newer is there"


@pytest.mark.parametrize("stream", sorted(ORDERED_STREAMS))
def test_what_is_delivered_in_order_is_never_overtaken(stream):
    state = lane_state(stream)
    state.take([chunk(1, 1600)], now=0.0)
    assert not state.is_behind(1e9)


def test_nothing_is_overtaken_while_the_collector_is_the_reason():
    state = lane_state()
    state.take([chunk(1, 1600)], now=0.0)
    state.gate.back_off(RetryLater(None, "503"), 0.0, 0.0, 0.5)
    assert not state.is_behind(100.0)


def test_uploads_take_from_the_oldest_and_the_newest_in_turn():
    state = behind(rows=10)
    _oldest, newest = sorted(state.stretches, key=lambda stretch: stretch.after)
    state.take([chunk(11, 1600)], 0.0, newest)
    assert [rows_of(next_batch(state)) for _ in range(4)] == [{11}, {1}, {11}, {1}]


def test_each_of_the_two_is_read_ahead_while_the_other_holds_its_share():
    state = behind(rows=10)
    oldest, newest = sorted(state.stretches, key=lambda stretch: stretch.after)
    assert (wanted(state, oldest), wanted(state, newest)) == (0, 1)
    while oldest.waiting:
        state.delivered(state.next_batch(0.0, flush=True, encode=encode, expires_before=NEVER_EXPIRES))
    state.held.settled()
    assert (wanted(state, oldest), wanted(state, newest)) == (800, 800)


def test_rows_that_were_not_read_yet_are_not_done():
    state = behind(rows=10)
    while (batch := next_batch(state)) is not None:
        state.delivered(batch)
    state.held.settled()
    oldest, newest = sorted(state.stretches, key=lambda stretch: stretch.after)
    state.take([], 0.0, newest)
    assert (state.caught_up, state.idle, state.oldest_row) == (True, False, 2)
    state.take([chunk(10, 1)], 0.0, oldest)
    assert state.stretches == [oldest, newest] or state.stretches == [newest, oldest]
    state.delivered(next_batch(state))
    state.held.settled()
    assert (state.stretches, state.idle, state.oldest_row) == ([newest], True, None)


class Rows:
    """Chunks of two items by their rows, read as delivery does; ``deliver`` takes one batch."""

    def __init__(self, state) -> None:
        self.state = state
        self.rows: list[int] = []
        self.delivered: list[int] = []

    def append(self, count) -> None:
        first = len(self.rows) + 1
        self.rows += range(first, first + count)
        self.state.news()

    def read(self) -> None:
        for stretch in self.state.stretches:
            while not stretch.caught_up and (found := self.state.wanted(stretch)):
                due = [row for row in self.rows if stretch.after < row <= stretch.upto]
                self.state.take([chunk(row, 2) for row in due[: max(1, found.items // 2)]], 0.0, stretch)

    def deliver(self) -> int:
        self.read()
        if self.state.is_behind(100.0):
            self.state.read_behind(len(self.rows))
            self.read()
        batch = next_batch(self.state)
        if batch is None:
            return 0
        self.state.delivered(batch)
        self.state.held.settled()
        self.delivered += [entry.chunk.stored.row for entry in batch.entries]
        return len(batch.entries)


def test_the_newest_that_falls_behind_too_makes_way_for_what_is_newer():
    lane = Rows(lane_state(concurrent_uploads=1))
    lane.append(3_000)
    sizes, most = [], 0
    for _ in range(300):
        lane.append(150)
        sizes.append(lane.deliver())
        most = max(most, len(lane.state._stretches))
    assert most == MAX_STRETCHES
    assert min(sizes) >= 100, "batches stay large, however many stretches there are"
    assert sum(sizes) / len(sizes) >= 180
    assert lane.state.held.items <= 400
    while not lane.state.idle:
        lane.deliver()
    assert sorted(lane.delivered) == [row for row in lane.rows for _ in range(2)]


def test_what_is_held_is_bounded_in_bytes_whatever_came_before():
    state = lane_state(concurrent_uploads=4)
    state.take([chunk(1, 100, b"x")], now=0.0)
    (stretch,) = state.stretches
    found = state.wanted(stretch)
    assert 0 < found.bytes <= READ_AHEAD_BYTES
    state.take([chunk(2, 10, b"x" * (found.bytes // 10))], now=0.0)
    assert state.wanted(stretch) is None

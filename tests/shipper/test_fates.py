"""What an outcome does to its batch and its lane."""

from moesifasgi.shipper.batch import Batch
from moesifasgi.shipper.fates import Finished, apply_outcome
from moesifasgi.shipper.gate import GateState, Pace
from moesifasgi.shipper.lane import LaneState
from moesifasgi.shipper.outcome import Rejected, RetryLater, TooLarge
from moesifasgi.shipper.spool import Item, Lane, StoredChunk
from moesifasgi.wire.application import Application

REFUSED = Rejected("400 Bad Request", 400)


def lane_with(items: int) -> LaneState:
    state = LaneState(Lane("a", "events"), Application("a"), Pace())
    stored = StoredChunk(1, b"s", tuple(range(items)), (Item(1, b"{}"),) * items, 0.0)
    state.take([stored], now=0.0)
    return state


def batch_of(state: LaneState) -> Batch:
    batch = state.next_batch(0.0, flush=True, encode=lambda item: item.payload, expires_before=0.0)
    assert batch is not None
    return batch


def test_a_batch_that_is_refused_as_a_probe_shows_that_the_collector_answers_again() -> None:
    """Its halves, and all that waits behind it, need not go one by one."""
    for refusal in (REFUSED, TooLarge()):
        state = lane_with(items=4)
        batch = batch_of(state)
        apply_outcome(state, Finished(batch, 0.0, RetryLater(None, "503")), 1.0, 0.5)
        assert state.gate.state is GateState.BACKING_OFF
        apply_outcome(state, Finished(batch_of(state), 5.0, refusal), 6.0, 0.5)
        assert state.gate.state is GateState.OPEN


def test_what_is_refused_is_halved_until_one_item_is_left_which_is_a_dead_letter() -> None:
    state = lane_with(items=2)
    apply_outcome(state, Finished(batch_of(state), 0.0, REFUSED), 1.0, 0.5)
    first, second = batch_of(state), batch_of(state)
    assert [len(batch.entries) for batch in (first, second)] == [1, 1]
    notice = apply_outcome(state, Finished(first, 1.0, REFUSED), 2.0, 0.5)
    assert notice is not None
    assert (notice.cause, notice.lasting) == ("dead letter", False)
    state.delivered(second)
    (settlement,) = state.held.settlements()
    assert (settlement.delivered, [letter.code for letter in settlement.dead_letters]) == (1, ["400"])


def test_a_batch_that_runs_out_of_time_is_halved_and_the_next_ones_are_smaller() -> None:
    state = LaneState(Lane("a", "events"), Application("a", batch_size=100), Pace())
    items = tuple(Item(1, b"x" * 100_000) for _ in range(20))
    state.take([StoredChunk(1, b"s", tuple(range(20)), items, 0.0)], now=0.0)
    late = RetryLater(None, "no answer within 30 s", too_slow=True)
    apply_outcome(state, Finished(batch_of(state), 0.0, late), 1.0, 0.5)
    assert state.gate.state is GateState.BACKING_OFF
    assert [len(batch_of(state).entries) for _ in range(2)] == [10, 10]
    state.take([StoredChunk(2, b"s", tuple(range(20)), items, 0.0)], now=2.0)
    assert len(batch_of(state).entries) == 9


def test_a_small_batch_that_runs_out_of_time_comes_back_whole() -> None:
    state = lane_with(items=4)
    late = RetryLater(None, "no answer within 30 s", too_slow=True)
    apply_outcome(state, Finished(batch_of(state), 0.0, late), 1.0, 0.5)
    assert len(batch_of(state).entries) == 4


def test_a_copy_that_is_refused_is_no_fate_of_its_item() -> None:
    """It is uploaded in its turn, where order matters."""
    state = LaneState(Lane("a", "users"), Application("a"), Pace())
    state.take([StoredChunk(1, b"s", (1, 2), (Item(2, b"{}"),) * 2, 0.0)], now=0.0)
    batch = batch_of(state)
    copy = Batch(batch.entries[:1], copied=True)
    apply_outcome(state, Finished(copy, 0.0, REFUSED), 1.0, 0.5)
    assert state.held.settlements() == []
    state.delivered(batch)
    assert [settlement.delivered for settlement in state.held.settlements()] == [2]


def test_a_batch_is_not_doubted_for_what_nobody_was_asked() -> None:
    state = lane_with(items=2)
    refused = RetryLater(None, "the connection failed", reached=False)
    for now in range(10):
        apply_outcome(state, Finished(batch_of(state), float(now), refused), float(now), 0.5)
    assert [(len(batch.entries), batch.failures) for batch in [batch_of(state)]] == [(2, 0)]

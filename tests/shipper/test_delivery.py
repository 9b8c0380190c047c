"""The delivery loop with a real collector, in good and bad times."""

import itertools
import os
import threading
import time
from collections.abc import Callable

import msgpack
import pytest
from lab.front import Front

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper.clock import Clock
from moesifasgi.shipper.compression import gzip_bytes
from moesifasgi.shipper.delivery import MAX_AGE_S, MAX_TURN_S
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.health import Advice, Reason
from moesifasgi.shipper.http import Timeouts
from moesifasgi.shipper.retry import Backoff
from moesifasgi.shipper.spool import Lane, SpoolError
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.under_way import MAX_UPLOADS

A, B = "a" * 56 + "AAAA", "b" * 56 + "BBBB"
POISON = {"metadata": "not an object"}


def conserved(spool) -> bool:
    totals = spool.totals()
    gone = totals.delivered + totals.dead_lettered + sum(totals.dropped.values())
    return totals.taken == gone + spool.usage().events


def user(number: int) -> bytes:
    return msgpack.packb({"user_id": "same", "metadata": {"number": number}})


def test_what_was_spooled_before_the_start_is_delivered(rig, event):
    rig.append(*(event() for _ in range(500)))
    rig.start()
    assert rig.distinct(500)


def test_a_single_event_leaves_after_the_batch_timeout(rig, event):
    rig.know(batch_timeout_s=0.3)
    rig.start()
    rig.append(event())
    assert not rig.distinct(1, timeout_s=0.2)
    assert rig.distinct(1, timeout_s=2.0)


def test_no_upload_is_larger_than_the_batch_size_that_was_set(rig, event, until):
    rig.know(batch_size=7)
    rig.start()
    rig.append(*(event() for _ in range(70)))
    assert rig.distinct(70)
    until(lambda: rig.delivery.idle)
    assert rig.delivery.status()["requests"] == {"201": 10}


def test_a_backlog_is_delivered_in_large_batches_at_once(rig, event, until):
    """B2: no ceiling of one small batch a second."""
    rig.append(*(event() for _ in range(2000)))
    rig.start()
    assert rig.distinct(2000)
    until(lambda: rig.delivery.idle)
    assert rig.delivery.status()["requests"] == {"201": 10}


def test_slow_uploads_are_made_concurrently(rig, event):
    """B2: the delay of one upload does not bound the rate."""
    rig.collector.behave(Behaviour(delay_s=0.1))
    rig.append(*(event() for _ in range(1600)))
    rig.start()
    assert rig.distinct(1600)
    assert rig.collector.store.summary()["concurrent_uploads_peak"]["events"] == 4


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504, 302])
def test_a_refused_batch_is_retried_with_the_same_transaction_ids(rig, event, until, status):
    """B1: the published package makes one attempt, and the batch is gone."""
    rig.collector.behave(Behaviour(status=status, times=3))
    rig.start()
    rig.append(*(event() for _ in range(30)))
    assert rig.distinct(30)
    until(lambda: rig.delivery.idle)
    assert rig.collector.store.counts().duplicates == 0
    assert rig.spool.totals().delivered == 30
    assert rig.delivery.status()["retries"] == 3


def test_nothing_leaves_the_spool_before_the_collector_has_it(rig, event, until):
    """B1, B3: an outage costs no event, however long it is."""
    rig.collector.behave(Behaviour(status=503))
    rig.start()
    rig.append(*(event() for _ in range(300)))
    until(lambda: rig.requests() >= 6)
    assert rig.spool.usage().events == 300
    assert rig.state() == "backing off"
    told = Reason("events of …AAAA: backing off: 503 Service Unavailable", Advice.WAIT)
    assert rig.delivery.status()["reasons"] == [told]
    rig.collector.behave(None)
    assert rig.distinct(300)
    until(lambda: rig.delivery.idle)
    assert (rig.spool.totals().delivered, rig.spool.usage().events) == (300, 0)


def test_while_failing_there_is_one_request_per_wait(rig, event, until):
    """T5: no hot loop; the waits here are a twentieth of the real ones."""
    rig.collector.behave(Behaviour(status=503))
    rig.append(*(event() for _ in range(2000)))
    rig.start(Pace(Backoff(base_s=0.05, cap_s=0.05, floor_s=0.05)))
    until(lambda: rig.requests() >= 12)
    asked = [one.at for one in rig.collector.store.asked()]
    # The first ones were under way together.
    probes = asked[4:]
    gaps = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert min(gaps) >= 0.045


def test_the_time_that_a_retry_after_names_is_kept(rig, event, until):
    rig.collector.behave(Behaviour(status=429, headers={"Retry-After": "1"}, times=1))
    rig.start()
    rig.append(event())
    until(lambda: len(rig.collector.store.asked()) == 2)
    first, second = (one.at for one in rig.collector.store.asked())
    assert 1.0 <= second - first < 3.0


@pytest.mark.parametrize("behaviour", [Behaviour(hang=True, times=1), Behaviour(drip_s=0.1, times=1)])
def test_a_collector_that_never_finishes_holds_nothing_up_for_long(rig, event, until, behaviour):
    """B4: an upload has a total deadline."""
    rig.collector.behave(behaviour)
    rig.start(timeouts=Timeouts(connect_s=1.0, read_s=5.0, total_s=0.3))
    rig.append(event())
    until(lambda: rig.delivery.idle and rig.spool.totals().delivered == 1, timeout_s=3.0)
    assert rig.delivery.status()["requests"] == {"none": 1, "201": 1}


@pytest.mark.parametrize("behaviour", [{"reset": True}, {"reset_after_bytes": 10}])
def test_a_reset_connection_costs_nothing(rig, event, behaviour):
    rig.collector.behave(Behaviour(times=2, **behaviour))
    rig.start()
    rig.append(*(event() for _ in range(30)))
    assert rig.distinct(30)


def test_a_lost_reply_makes_duplicates_on_the_wire_but_none_at_the_collector(rig, event, until):
    rig.collector.behave(Behaviour(lose_reply=True, times=1))
    rig.start()
    rig.append(*(event() for _ in range(20)))
    until(lambda: rig.collector.store.counts().duplicates == 20)
    assert rig.collector.store.counts().distinct == 20
    until(lambda: rig.delivery.idle)
    assert rig.spool.totals().delivered == 20


@pytest.mark.parametrize("count", [1, 2, 100, 1000])
def test_one_poison_event_is_found_and_set_aside(rig, event, until, count):
    """A9, A10: one bad event must not cost those around it; found in at most 21 extra requests (T7)."""
    events = [event() for _ in range(count - 1)]
    events.insert(count // 3, event(**POISON))
    rig.append(*events)
    rig.start()
    until(lambda: rig.delivery.idle)
    totals = rig.spool.totals()
    assert (totals.delivered, totals.dead_lettered) == (count - 1, 1)
    assert rig.collector.store.counts().distinct == count - 1
    assert rig.requests() <= count // 200 + 21
    (kept,) = rig.spool.dead_letters(10)
    assert kept.letter.code == "400"


def test_an_item_that_cannot_be_encoded_costs_only_itself(rig, event, until):
    rig.append(event(), b"\xc1", event())
    rig.start()
    until(lambda: rig.delivery.idle)
    assert (rig.spool.totals().delivered, rig.spool.totals().dead_lettered) == (2, 1)
    assert rig.spool.dead_letters(10)[0].letter.code == "unserialisable"


def test_a_collector_that_refuses_everything_parks_the_application_with_its_backlog(rig, event, until):
    """T7: not each of a thousand events can be at fault."""
    rig.collector.behave(Behaviour(status=400))
    rig.append(*(event() for _ in range(1000)))
    rig.start(Pace(Backoff(0.05, 0.05, 0.05), probe_s=0.05))
    until(lambda: rig.state() == "parked")
    before = rig.requests()
    until(lambda: rig.requests() >= before + 5)
    assert rig.spool.totals().dead_lettered <= 19
    rig.collector.behave(None)
    until(lambda: rig.delivery.idle)
    assert rig.spool.totals().delivered + rig.spool.totals().dead_lettered == 1000
    assert conserved(rig.spool)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 410])
def test_a_refused_application_is_parked_and_the_others_are_not(rig, event, until, status):
    """B5: applications share nothing, neither accounts nor trouble (T6)."""
    rig.know(B)
    rig.collector.behave(Behaviour(status=status, application_id=A))
    rig.start()
    rig.append(event(), application_id=A)
    until(lambda: rig.state() == "parked")
    rig.append(*(event() for _ in range(300)), application_id=B)
    assert rig.distinct(300)
    assert rig.collector.store.applications() == [B]
    assert rig.spool.totals().dead_lettered == 0
    rig.collector.behave(None)
    assert rig.distinct(301)


def test_a_parked_application_is_worth_one_log_line_an_hour(rig, event, until, caplog):
    """B9: no flood, no application id, no content."""
    rig.collector.behave(Behaviour(status=401))
    rig.start()
    rig.append(event())
    until(lambda: rig.requests() >= 4)
    lines = [line for line in caplog.messages if "401" in line]
    assert lines == ["events of …AAAA: parked (401 Unauthorized)"]
    assert A not in caplog.text


def test_a_failing_stream_does_not_hold_up_the_others(rig, event):
    rig.collector.behave(Behaviour(status=503, path_prefix="/v1/users"))
    rig.start()
    rig.append(user(1), stream="users")
    rig.append(event())
    assert rig.distinct(1)


def test_updates_of_users_keep_their_order(rig, until):
    rig.know(batch_size=1)
    rig.collector.behave(Behaviour(sequence=(Behaviour(delay_s=0.1), Behaviour(status=503))))
    rig.append(*(user(number) for number in range(10)), stream="users")
    rig.start()
    until(lambda: rig.delivery.idle)
    seen = [item["metadata"]["number"] for item in rig.collector.store.items("users")]
    assert seen == list(range(10))
    assert rig.collector.store.summary()["concurrent_uploads_peak"]["users"] == 1


def test_a_drain_delivers_at_once_what_would_wait_for_its_batch(rig, event, until):
    rig.know(batch_timeout_s=60.0)
    rig.start()
    rig.append(event())
    rig.drain()
    until(lambda: rig.answers)
    assert rig.answers == [(True, "")]
    assert rig.spool.usage().events == 0


def test_a_drain_of_nothing_is_done_at_once(rig, until):
    rig.start()
    rig.drain()
    until(lambda: rig.answers == [(True, "")], timeout_s=1.0)


def test_a_drain_that_may_give_up_does_so_when_the_collector_is_known_to_fail(rig, event, until):
    rig.collector.behave(Behaviour(status=503))
    rig.start(Pace(Backoff(60.0, 60.0, 60.0)))
    rig.append(event())
    rig.drain(give_up=True)
    until(lambda: rig.answers == [(False, "backing off: 503 Service Unavailable")], timeout_s=1.0)
    rig.append(event())
    rig.drain(give_up=True)
    until(lambda: len(rig.answers) == 2, timeout_s=1.0)
    assert rig.spool.usage().events == 2


def test_a_drain_that_may_not_give_up_waits_until_the_collector_is_back(rig, event, until):
    rig.collector.behave(Behaviour(status=503, times=4))
    rig.start()
    rig.append(event())
    rig.drain(give_up=False)
    until(lambda: rig.answers == [(True, "")])


def test_a_drain_ends_with_its_time(rig, event, until):
    rig.collector.behave(Behaviour(hang=True))
    rig.start()
    rig.append(event())
    rig.drain(timeout_s=0.2)
    until(lambda: rig.answers == [(False, "not delivered in time")], timeout_s=1.0)


def test_a_drain_of_one_application_does_not_wait_for_another(rig, event, until):
    rig.know(B)
    rig.collector.behave(Behaviour(status=401, application_id=A))
    rig.start()
    rig.append(event(), application_id=A)
    rig.append(event(), application_id=B)
    rig.drain(application_ids=frozenset({B}))
    until(lambda: rig.answers == [(True, "")])


def test_close_waits_for_what_is_under_way_and_settles_it(rig, event, until):
    """B3: a stop costs nothing."""
    rig.collector.behave(Behaviour(delay_s=0.2))
    rig.start()
    rig.append(event())
    until(lambda: rig.delivery.status()["in_flight"] == 1)
    rig.delivery.close(5.0)
    assert rig.spool.totals().delivered == 1


def test_close_keeps_its_deadline_and_leaves_the_rest_in_the_spool(rig, event, until):
    """B4: a collector that never answers must not hold up the exit."""
    rig.collector.behave(Behaviour(hang=True))
    rig.start()
    rig.append(event())
    rig.drain()
    until(lambda: rig.delivery.status()["in_flight"] == 1)
    began = time.monotonic()
    rig.delivery.close(0.2)
    rig.delivery.close(0.2)
    assert time.monotonic() - began < 1.5
    assert rig.spool.usage().events == 1
    assert rig.answers == [(False, "the shipper is leaving")]
    rig.drain()
    assert len(rig.answers) == 2


def test_no_thread_of_delivery_holds_up_the_exit_of_the_process(rig, event, until):
    before = set(threading.enumerate())
    rig.start()
    rig.append(event())
    assert rig.distinct(1)
    ours = set(threading.enumerate()) - before
    assert {"moesif-delivery", "moesif-upload-1", "moesif-deadlines"} <= {thread.name for thread in ours}
    assert all(thread.daemon for thread in ours if thread.name.startswith("moesif-"))
    rig.delivery.close(1.0)
    until(lambda: not any(thread.is_alive() for thread in ours if thread.name.startswith("moesif-")))


class RestlessSpool(MemorySpool):
    """A spool whose settle fails as often as it is told to, as on a full disk."""

    failures = 0

    def settle(self, settlements):
        if self.failures:
            self.failures -= 1
            raise SpoolError("no space left")
        super().settle(settlements)


def test_a_spool_that_cannot_settle_is_asked_again_and_nothing_is_lost(rig, event, until, monkeypatch):
    monkeypatch.setattr("moesifasgi.shipper.delivery.SPOOL_REST_S", 0.05)
    rig.spool = RestlessSpool()
    rig.spool.failures = 1_000_000
    rig.start()
    rig.append(*(event() for _ in range(30)))
    until(lambda: rig.delivery.status()["reasons"])
    assert rig.delivery.status()["reasons"] == [Reason("the spool fails: no space left", Advice.DISK)]
    rig.spool.failures = 3
    assert rig.distinct(30)
    until(lambda: rig.delivery.idle)
    until(lambda: not rig.delivery.status()["reasons"])
    assert rig.spool.totals().delivered == 30
    assert rig.collector.store.counts().duplicates == 0


def test_what_is_older_than_the_collector_takes_is_dropped_as_expired(rig, event, until):
    times = iter([time.time() - MAX_AGE_S - 60])
    rig.spool = MemorySpool(clock=lambda: next(times, time.time()))
    rig.append(event())
    rig.append(event())
    rig.start()
    until(lambda: rig.delivery.idle)
    assert dict(rig.spool.totals().dropped) == {"expired": 1}
    assert rig.spool.totals().delivered == 1


def test_a_clock_that_jumps_forward_makes_nothing_old(rig, event, until):
    """T16: a wrong clock must not cost a backlog."""
    jump = [0.0]
    rig.start(clock=Clock(wall=lambda: time.time() + jump[0]))
    jump[0] = 2 * MAX_AGE_S
    rig.append(event())
    until(lambda: rig.delivery.idle)
    assert rig.spool.totals().delivered == 1


def test_an_application_that_becomes_known_later_gets_its_backlog_delivered(rig, event, until, monkeypatch):
    monkeypatch.setattr("moesifasgi.shipper.delivery.MAX_TURN_S", 0.2)
    rig.append(event(), application_id=B)
    rig.start()
    told = Reason("the settings of …BBBB are unknown until a worker of it says HELLO", Advice.SETTINGS)
    until(lambda: rig.delivery.status()["reasons"] == [told])
    assert not rig.delivery.idle
    rig.know(B)
    assert rig.distinct(1, timeout_s=10.0)


def test_a_drain_does_not_call_delivered_what_lies_there_for_an_unknown_application(rig, event, until):
    rig.append(event(), application_id=B)
    rig.start()
    rig.drain(give_up=True)
    rig.drain(give_up=True, application_ids=frozenset({A}))
    rig.drain(timeout_s=0.05)
    until(lambda: len(rig.answers) == 3)
    reason = "the settings of …BBBB are unknown until a worker of it says HELLO"
    assert sorted(rig.answers) == [(False, "not delivered in time"), (False, reason), (True, "")]


def test_a_drain_that_is_withdrawn_hurries_nothing_and_answers_nobody(rig, event, until):
    rig.know(A, batch_timeout_s=3600.0)
    rig.collector.behave(Behaviour(hang=True))
    rig.start()
    rig.append(event())
    until(lambda: not rig.delivery.idle)
    withdraw = rig.delivery.drain(give_up=False, on_done=lambda *answer: rig.answers.append(answer))
    until(lambda: rig.delivery.status()["in_flight"] == 1)
    withdraw()
    rig.append(event())
    until(lambda: not rig.delivery._drains)
    assert rig.delivery.status()["in_flight"] == 1
    assert rig.answers == []


def test_the_lanes_of_an_application_that_is_forgotten_go_when_they_are_empty(rig, event, until):
    rig.know(B)
    rig.start()
    rig.append(event())
    rig.append(event(), application_id=B)
    until(lambda: rig.delivery.idle and rig.spool.totals().delivered == 2)
    del rig.applications[B]
    rig.append(event())
    until(lambda: list(rig.delivery.status()["applications"]) == [A])
    rig.know(B)
    rig.append(event(), application_id=B)
    assert rig.distinct(4)


class BusySpool(MemorySpool):
    """Something is appended to a new lane right after it was asked for its lanes."""

    meanwhile: Callable[[], None] | None = None

    def lanes(self) -> list[Lane]:
        found = super().lanes()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return found


def test_what_comes_while_the_lanes_are_looked_up_is_found_too(rig, event):
    rig.spool = BusySpool()
    rig.know(B)
    rig.start()
    rig.spool.meanwhile = lambda: rig.append(event(), application_id=B)
    rig.append(event())
    assert rig.distinct(2, timeout_s=MAX_TURN_S / 2)


def test_a_fault_of_our_own_ends_neither_the_loop_nor_costs_the_batch(rig, event, monkeypatch):
    faults = iter([ValueError("ours")])

    def broken(data: bytes) -> bytes:
        for fault in faults:
            raise fault
        return gzip_bytes(data)

    monkeypatch.setattr("moesifasgi.shipper.uploader.gzip_bytes", broken)
    rig.start()
    rig.append(event())
    assert rig.distinct(1)


def test_during_a_backlog_fresh_events_do_not_wait_for_the_old_ones(rig, event, until):
    """T4: what happens now is seen now, though hours of an outage are still to be delivered."""
    hour_ago = MemorySpool(clock=lambda: time.time() - 3600 if not hasattr(rig, "delivery") else time.time())
    rig.spool = hour_ago
    rig.collector.behave(Behaviour(delay_s=0.1))
    for _ in range(120):
        rig.append(*(event(user_id="old") for _ in range(100)))
    rig.start()
    until(lambda: rig.collector.store.counts().distinct >= 1600)
    rig.append(*(event(user_id="fresh") for _ in range(50)))
    fresh = {"user_id": "fresh"}.items()
    until(lambda: sum(fresh <= item.items() for item in rig.collector.store.items()) == 50)
    assert rig.collector.store.counts().distinct < 6_000
    assert rig.distinct(12_050, timeout_s=20.0)
    until(lambda: rig.delivery.idle)
    assert rig.collector.store.counts().duplicates == 0
    assert conserved(rig.spool)


def test_a_drain_during_a_backlog_waits_for_the_old_ones_too(rig, event, until):
    rig.spool = MemorySpool(clock=lambda: time.time() - 3600)
    rig.collector.behave(Behaviour(delay_s=0.05))
    for _ in range(60):
        rig.append(*(event() for _ in range(100)))
    rig.start()
    until(lambda: rig.collector.store.counts().distinct >= 1600)
    rig.drain(timeout_s=20.0)
    until(lambda: rig.answers, timeout_s=20.0)
    assert rig.answers == [(True, "")]
    assert rig.collector.store.counts().distinct == 6000


def test_updates_of_a_user_keep_their_order_in_a_backlog(rig, until):
    rig.spool = MemorySpool(clock=lambda: time.time() - 3600)
    rig.collector.behave(Behaviour(delay_s=0.02))
    for number in range(2900):
        rig.append(user(number), stream="users")
    rig.start()
    until(lambda: rig.collector.store.counts("users").received >= 400)
    for number in range(2900, 3000):
        rig.append(user(number), stream="users")
    until(lambda: rig.delivery.idle and rig.spool.usage().events == 0, timeout_s=20.0)
    numbers = [item["metadata"]["number"] for item in rig.collector.store.items("users")]
    # The collector keeps the newest thousand.
    assert numbers == list(range(2000, 3000))


class FaultySpool(MemorySpool):
    """A spool with a fault of ours in it, for a while."""

    faulty = True

    def settle(self, settlements) -> None:
        if self.faulty:
            raise ZeroDivisionError
        super().settle(settlements)


def test_a_fault_of_ours_in_the_loop_is_told_and_no_sign_of_life(rig, event, until):
    rig.spool = FaultySpool()
    rig.append(event())
    rig.start()
    told = Reason("fault in the delivery loop: ZeroDivisionError", Advice.BEGINS_AFRESH)
    until(lambda: rig.delivery.status()["reasons"] == [told])
    heartbeat = rig.delivery.heartbeat
    until(lambda: rig.distinct(1))
    assert rig.delivery.heartbeat == heartbeat
    rig.spool.faulty = False
    until(lambda: rig.delivery.idle and not rig.delivery.status()["reasons"])
    assert rig.delivery.heartbeat > heartbeat


EAGER = Pace(Backoff(base_s=0.005, cap_s=0.02, floor_s=0.005), probe_s=0.01)
POISONED = b"no firewall likes this"


@pytest.mark.parametrize("stream", ["events", "users"])
@pytest.mark.parametrize("status", [403, 500])
def test_an_item_that_always_fails_costs_only_itself(rig, collector, event, until, stream, status):
    """What a proxy refuses, or an endpoint chokes on, looks like an outage to its own batch alone."""
    with Front(collector, verdict=lambda body: status if POISONED in body else None) as front:
        rig.know(A, base_uri=front.url)
        items = [event() if stream == "events" else user(number) for number in range(60)]
        items.insert(3, event(metadata={"text": POISONED.decode()}))
        if stream == "users":
            items[3] = msgpack.packb({"user_id": "other", "metadata": {"text": POISONED.decode()}})
        rig.append(*items, stream=stream)
        rig.start(pace=EAGER)
        until(lambda: rig.spool.totals().delivered == 60, timeout_s=20.0)
        # Alone, it might be an outage. What comes now tells that it is none.
        rig.append(event() if stream == "events" else user(60), stream=stream)
        until(lambda: rig.delivery.idle, timeout_s=20.0)
        assert rig.spool.totals().delivered == 61
        (kept,) = rig.spool.dead_letters(10)
        assert POISONED in kept.letter.payload
        assert kept.letter.code == str(status)
        assert kept.letter.reason.endswith("while others are delivered")
        if stream == "users":
            assert [item["metadata"]["number"] for item in collector.store.items("users")][-1] == 60


def test_a_collector_that_fails_everybody_costs_nobody_anything(rig, event, until):
    """However long it lasts, however many batches are tried, and whatever was delivered before."""
    rig.know(A, batch_size=5)
    rig.append(event())
    rig.start(pace=EAGER)
    assert rig.distinct(1)
    rig.collector.behave(Behaviour(status=500))
    rig.append(*[event() for _ in range(50)])
    until(lambda: rig.requests() > 200)
    rig.collector.behave(None)
    assert rig.distinct(51)
    until(lambda: rig.delivery.idle)
    assert rig.spool.totals().dead_lettered == 0
    assert rig.collector.store.counts().received == 51


def test_what_came_back_and_is_too_old_by_now_is_dropped_as_expired(rig, event, until):
    shift = [0.0]
    clock = Clock(monotonic=lambda: time.monotonic() + shift[0], wall=lambda: time.time() + shift[0])
    rig.collector.behave(Behaviour(status=503))
    rig.append(event(), event())
    rig.start(clock=clock)
    until(lambda: rig.requests() > 2)
    shift[0] = MAX_AGE_S + 60
    until(lambda: rig.delivery.idle, timeout_s=3 * MAX_TURN_S)
    assert dict(rig.spool.totals().dropped) == {"expired": 2}


def test_over_a_slow_line_batches_become_small_enough(rig, collector, event, until):
    """15 events of 40 kB that hardly compress take 4 s over this line, and a request has 1.5."""
    with Front(collector, bytes_a_second=100_000) as front:
        rig.know(A, base_uri=front.url, concurrent_uploads=1)
        filling = [os.urandom(20_000).hex() for _ in range(15)]
        rig.append(*[event(metadata={"filling": each}) for each in filling])
        rig.start(timeouts=Timeouts(connect_s=1.0, read_s=1.0, total_s=1.5))
        until(lambda: rig.spool.totals().delivered == 15, timeout_s=30.0)


def test_a_thread_that_cannot_be_started_costs_time_and_no_batch(rig, event, until, monkeypatch):
    refusals = [3]
    start = threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if thread.name.startswith("moesif-upload") and refusals[0]:
            refusals[0] -= 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    rig.know(A, concurrent_uploads=1)
    rig.append(user(0), user(1), stream="users")
    rig.start()
    told = Reason("fault in the delivery loop: RuntimeError", Advice.BEGINS_AFRESH)
    until(lambda: rig.delivery.status()["reasons"] == [told])
    until(lambda: rig.spool.totals().delivered == 2, timeout_s=20.0)


class RestingSpool(MemorySpool):
    """Cannot say once which lanes it has."""

    fails = False

    def lanes(self) -> list[Lane]:
        if self.fails:
            self.fails = False
            raise SpoolError("disk I/O error")
        return super().lanes()


def test_a_drain_is_not_answered_by_what_was_known_before_it(rig, event, until):
    rig.spool = RestingSpool()
    rig.start()
    rig.append(event())
    until(lambda: rig.delivery.idle)
    rig.collector.behave(Behaviour(hang=True))
    rig.spool.fails = True
    rig.append(event())
    until(lambda: rig.delivery.status()["reasons"])
    rig.drain(timeout_s=1.5)
    until(lambda: rig.answers)
    assert rig.answers == [(False, "not delivered in time")]


def test_what_is_held_for_all_applications_together_is_bounded(rig, event, until, monkeypatch):
    """A hundred applications, none of which can deliver: a share each, and at most one chunk beyond it."""
    monkeypatch.setattr("moesifasgi.shipper.lanes.READ_AHEAD_BYTES_IN_ALL", 2_000_000)
    rig.collector.behave(Behaviour(hang=True))
    ids = [f"application-{number}" for number in range(100)]
    for _ in range(5):
        for application_id in ids:
            rig.know(application_id)
            rig.append(*[event(text="x" * 1_000) for _ in range(10)], application_id=application_id)
    rig.start()
    until(lambda: rig.delivery.status()["in_flight"] >= MAX_UPLOADS // 2)
    held = sum(state.held.bytes for state in rig.delivery._lanes)
    assert held < 2_000_000 + 100 * 12_000
    assert all(state.held.bytes for state in rig.delivery._lanes)
    turns = rig.delivery._lanes._turns
    time.sleep(0.2)
    assert rig.delivery._lanes._turns - turns < 20, "it waits for an answer, it does not spin"


def test_so_many_uploads_are_under_way_in_all_and_each_application_has_its_turn(
    rig, event, until, monkeypatch
):
    monkeypatch.setattr("moesifasgi.shipper.under_way.MAX_UPLOADS", 6)
    ids = [f"application-{number}" for number in range(12)]
    for application_id in ids:
        rig.know(application_id, batch_size=1)
        rig.append(*[event() for _ in range(6)], application_id=application_id)
    rig.collector.behave(Behaviour(delay_s=0.02))
    rig.start()
    most = most_of_one = 0
    while not rig.delivery.idle:
        status = rig.delivery.status()
        most = max(most, status["in_flight"])
        each = [entry["in_flight"] for entry in status["applications"].values()]
        most_of_one = max(most_of_one, *each)
        time.sleep(0.001)
    assert most <= 6
    assert most_of_one <= 3, "when half of them are under way, each application gets one"
    first_arrivals = [kept.application_id for kept in reversed(rig.collector.store.newest())][:24]
    assert len(set(first_arrivals)) >= 10, "nobody waits until another has nothing left"
    assert rig.collector.store.counts().distinct == 72

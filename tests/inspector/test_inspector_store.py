"""What the store counts, deduplicates and keeps, and that its memory has bounds."""

import stat
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from moesifasgi.inspector import Store
from moesifasgi.inspector.arrival import Arrival, Upload, identity_of, transaction_id_of
from moesifasgi.inspector.arrival_log import ArrivalLog
from moesifasgi.inspector.newest import MAX_KEPT_BYTES


def arrived(*numbers: int, **fields: Any) -> tuple[Arrival, ...]:
    return tuple(Arrival(number.to_bytes(16, "big"), b'{"n":%d}' % number, **fields) for number in numbers)


def upload(arrivals: tuple[Arrival, ...], application: str = "application-1234", **fields: Any) -> Upload:
    return Upload(application, fields.pop("stream", "events"), 1000.0, 10, 50, arrivals, **fields)


def test_an_event_that_comes_again_in_a_later_batch_is_a_duplicate() -> None:
    store = Store()
    store.add(upload(arrived(1, 2)))
    store.add(upload(arrived(2, 3)))
    counts = store.counts()
    assert (counts.received, counts.distinct, counts.duplicates) == (4, 3, 1)
    assert store.items() == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_deduplication_is_per_application() -> None:
    store = Store()
    store.add(upload(arrived(1), "one-1111"))
    store.add(upload(arrived(1), "two-2222"))
    assert store.counts().distinct == 2
    assert store.counts(application_id="one-1111").distinct == 1
    assert store.counts(application_id="none").distinct == 0
    assert store.items(application_id="two-2222") == [{"n": 1}]


def test_actions_and_events_are_deduplicated_apart() -> None:
    store = Store()
    store.add(upload(arrived(1)))
    store.add(upload(arrived(1), stream="actions"))
    assert store.counts("actions").duplicates == 0


def test_an_event_without_transaction_id_is_never_a_duplicate() -> None:
    store = Store()
    store.add(upload((Arrival(None, b"{}"), Arrival(None, b"{}"))))
    assert store.counts().distinct == 2


def test_a_user_that_comes_again_is_an_update_and_is_kept() -> None:
    store = Store()
    store.add(upload(arrived(1), stream="users"))
    store.add(upload(arrived(1), stream="users"))
    assert store.counts("users").duplicates == 1
    assert len(store.items("users")) == 2


def test_received_is_the_sum_of_all_fates() -> None:
    store = Store()
    store.add(upload(arrived(1, 1, 2)))
    store.add(upload((), invalid=1, refused=4))
    counts = store.counts()
    assert counts.received == 8
    assert counts.received == counts.distinct + counts.duplicates + counts.invalid + counts.refused


def test_only_the_newest_items_are_kept() -> None:
    store = Store(keep_events=2)
    store.add(upload(arrived(1, 2, 3)))
    assert store.items() == [{"n": 2}, {"n": 3}]


def test_large_items_are_kept_up_to_a_bound_in_bytes() -> None:
    store = Store()
    large = b"0" * (MAX_KEPT_BYTES // 3)
    store.add(upload(tuple(Arrival(None, large) for _ in range(5))))
    assert len(store.newest()) == 3


def test_identities_over_the_bound_are_counted_instead_of_kept() -> None:
    store = Store(max_ids=2)
    store.add(upload(arrived(1, 2, 3)))
    store.add(upload(arrived(1, 3)))
    assert (store.counts().distinct, store.counts().duplicates) == (4, 1)
    assert store.summary()["ids_not_kept"] == 2


def test_transaction_ids_come_back_as_they_were_sent() -> None:
    store = Store()
    known = str(uuid.uuid4())
    assert transaction_id_of(identity_of(known)) == known
    store.add(upload((Arrival(identity_of(known), b"{}"),)))
    assert store.transaction_ids() == {known}


def test_waiting_ends_as_soon_as_it_is_true() -> None:
    store = Store()
    waiting = threading.Event()

    def add_once_waited_for() -> None:
        waiting.wait()
        store.add(upload(arrived(1)))

    def has_one(store: Store) -> bool:
        waiting.set()
        return store.counts().distinct == 1

    with ThreadPoolExecutor() as pool:
        pool.submit(add_once_waited_for)
        started = time.monotonic()
        assert store.wait_for(has_one, 5)
        assert time.monotonic() - started < 4


def test_waiting_ends_at_its_time_out() -> None:
    assert not Store().wait_for(lambda store: store.counts().distinct, 0.01)


def test_the_peak_of_concurrent_uploads_is_told_per_stream() -> None:
    store = Store()
    with store.uploading("events"), store.uploading("events"), store.uploading("users"):
        pass
    with store.uploading("users"):
        pass
    assert store.summary()["concurrent_uploads_peak"] == {"all": 3, "events": 2, "users": 1}


def test_the_summary_tells_all_counts_and_no_application_id() -> None:
    store = Store()
    store.add(upload(arrived(1, status=200, direction="Incoming")))
    store.add(upload(arrived(2, 3, status=99_999, late=True), "other-5678"))
    store.count_request("POST /v1/events 201", 1.0)
    summary = orjson.loads(orjson.dumps(store.summary()))
    assert summary["requests"] == {"POST /v1/events 201": 1}
    assert summary["events"]["distinct"] == 3
    assert summary["events"]["late_over_30_days"] == 2
    assert summary["by_status"] == {"200": 1, "other": 2}
    assert summary["by_direction"] == {"Incoming": 1, "null": 2}
    assert [one["application"] for one in summary["applications"]] == ["…1234", "…5678"]
    assert [one["events"]["distinct"] for one in summary["applications"]] == [1, 2]
    assert summary["bytes"] == {"compressed": 20, "uncompressed": 100}
    sizes = summary["batch_sizes"]
    assert (sizes["count"], sizes["min"], sizes["max"], sizes["mean"]) == (2, 1, 2, 1.5)
    assert sizes["histogram"]["<=10"] == 1
    assert summary["first_arrival"] == "1970-01-01T00:16:40.000+00:00"


def test_the_newest_requests_are_told_with_their_times() -> None:
    store = Store(keep_events=2)
    for at, outcome in enumerate(("503", "reset", "201")):
        store.count_request(f"POST /v1/events {outcome}", float(at))
    assert store.asked() == [(1.0, "POST /v1/events reset"), (2.0, "POST /v1/events 201")]
    assert sum(store.requests().values()) == 3


def test_a_reset_forgets_what_arrived_and_not_what_is_in_flight() -> None:
    store = Store()
    store.add(upload(arrived(1)))
    with store.uploading("events"):
        store.reset()
        assert store.summary()["concurrent_uploads_peak"]["all"] == 1
    store.add(upload(arrived(1)))
    assert (store.counts().distinct, store.counts().duplicates) == (1, 0)


def test_an_event_is_oversized_over_one_megabyte() -> None:
    assert not Arrival(None, b"0" * 1_000_000).oversized
    assert Arrival(None, b"0" * 1_000_001).oversized


def test_every_arrival_is_logged_with_its_fate_for_the_owner_only(tmp_path: Path) -> None:
    log = ArrivalLog(tmp_path / "arrivals")
    store = Store(log=log)
    store.add(upload(arrived(1)))
    store.add(upload(arrived(1)))
    log.close()
    lines = [orjson.loads(line) for line in (tmp_path / "arrivals").read_bytes().splitlines()]
    assert [line["duplicate"] for line in lines] == [False, True]
    assert lines[0]["item"] == {"n": 1}
    assert lines[0]["application"] == "…1234"
    assert stat.S_IMODE((tmp_path / "arrivals").stat().st_mode) == 0o600


def test_a_log_does_not_grow_over_its_bound_even_by_another_run(tmp_path: Path) -> None:
    unlogged = 0
    for number in range(10):
        log = ArrivalLog(tmp_path / "arrivals", max_bytes=250)
        store = Store(log=log)
        store.add(upload(arrived(number)))
        log.close()
        log.close()
        unlogged += store.summary()["unlogged"]
    assert (tmp_path / "arrivals").stat().st_size <= 250
    assert unlogged == 10 - len((tmp_path / "arrivals").read_bytes().splitlines()) > 0

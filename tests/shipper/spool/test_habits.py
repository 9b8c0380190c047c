"""What a spool does beside its main work, so that nothing else would show it missing."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

from moesifasgi.shipper.spool import Settlement
from moesifasgi.shipper.spool.room import DiskGauge
from moesifasgi.shipper.spool.sqlite import SqliteSpool
from moesifasgi.shipper.spool.wreck import IntactRows, connect_to_damaged
from moesifasgi.wire.application import Application

Opener = Callable[..., SqliteSpool]
Appender = Callable[..., None]

FILE = "spool.sqlite3"
SESSION = b"s" * 16


def test_what_was_written_since_the_disk_was_asked_counts(
    tmp_path: Path, opened: Opener, append: Appender
) -> None:
    free_bytes = DiskGauge(tmp_path).free_bytes(0.0)
    # The clock stands: the disk is asked once. What others write meanwhile is less than the margin.
    spool = opened(clock=lambda: 1.0, min_free_bytes=free_bytes - 2_000_000_000, max_bytes=1 << 40)
    gauge = spool._storing._disk
    before = gauge.free_bytes(1.0)
    append(spool, 1, count=1, size=300_000)
    assert gauge.free_bytes(1.0) == before - spool.usage().bytes
    assert spool.usage().bytes > 290_000


def test_an_application_without_events_still_has_its_share_after_a_restart(
    opened: Opener, append: Appender
) -> None:
    spool = opened(max_bytes=100_000)
    spool.remember(Application("application-three"))
    spool.close()
    spool = opened(max_bytes=100_000)
    for number in range(1, 11):
        append(spool, 2 * number + 1, count=1, size=9_900)
    assert spool.totals().dropped == {"quota_full": 2}


def test_settings_that_were_changed_are_not_those_of_the_application(tmp_path: Path, opened: Opener) -> None:
    spool = opened()
    spool.remember(Application("application-one", base_uri="https://one.example"))
    spool.close()
    other = msgpack.packb(Application("application-one", base_uri="https://two.example").to_wire())
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE applications SET settings = ?", (other,))
    assert opened().applications() == []


def test_a_row_number_is_never_given_out_twice_while_the_shipper_lives(
    opened: Opener, append: Appender
) -> None:
    """Delivery may still hold the chunk of the older one, and would settle the newer with it."""
    spool = opened()
    for first in (1, 3, 5):
        append(spool, first)
    spool.settle([Settlement(row, 3) for row in (1, 2, 3)])
    spool.database.recover(spool.database.generation)
    assert spool.newest_row() == 3
    append(spool, 7)
    assert [chunk.row for chunk in spool.peek(spool.lanes()[0], 0, 10)] == [4]


def test_a_file_that_both_loops_find_damaged_is_replaced_once(opened: Opener, append: Appender) -> None:
    spool = opened()
    append(spool, 1)
    seen = spool.database.generation
    spool.database.recover(seen)
    spool.database.recover(seen)
    assert spool.database.generation == seen + 1
    assert len(spool.usage().mishaps) == 1


def test_a_salvage_keeps_sessions_applications_policies_and_dead_letters(
    opened: Opener, append: Appender
) -> None:
    spool = opened()
    append(spool, 1)
    spool.remember(Application("application-one", batch_size=3))
    spool.remember_policy("application-one", b"the policy")

    def small() -> tuple[object, ...]:
        return spool.last_sequence(SESSION), spool.applications(), spool.policies(), spool.dead_letters(10)

    before = small()
    spool.database.recover(spool.database.generation)
    assert small() == before
    assert spool.applications()[0].batch_size == 3


def test_reading_a_damaged_file_ends_at_its_deadline_between_two_rows(
    tmp_path: Path, opened: Opener, append: Appender
) -> None:
    spool = opened()
    for first in range(1, 31, 3):
        append(spool, first)
    spool.close()
    with closing(connect_to_damaged(tmp_path / FILE)) as source:
        deadline = time.monotonic() + 0.2
        rows = IntactRows(source, 0, deadline)
        reading = iter(rows)
        assert next(reading).row == 1
        while time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(reading) == []
        assert (rows.after, rows.exhausted) == (1, False)


def test_what_was_delivered_cannot_be_read_in_the_file_any_more(
    tmp_path: Path, opened: Opener, append: Appender
) -> None:
    spool = opened()
    for first in (1, 3, 5, 7):
        append(spool, first, count=1)
    with spool.database.intake.turn() as connection:
        bodies = [body for (body,) in connection.execute("SELECT body FROM chunks ORDER BY row")]
    spool.settle([Settlement(2, 1)])
    spool.close()
    content = (tmp_path / FILE).read_bytes()
    assert [body in content for body in bodies] == [True, False, True, True]


def test_the_log_does_not_stay_as_long_as_the_longest_burst(quick_path: Path, opened: Opener, append) -> None:
    spool, log = opened(quick_path, max_bytes=1 << 30), quick_path / f"{FILE}-wal"
    append(spool, 1, count=24, size=1_000_000)
    assert log.stat().st_size > 24_000_000
    for first in range(101, 121, 3):
        append(spool, first)
    assert log.stat().st_size <= 16 * 1024 * 1024


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_a_restart_that_finds_nothing_wrong_tells_nothing(
    durability: str, opened: Opener, append: Appender
) -> None:
    spool = opened(durability=durability)
    append(spool, 1)
    spool.close()
    assert opened(durability=durability).usage().mishaps == ()

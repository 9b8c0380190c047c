"""Subjects take turns, answer in figures, and end with their workbench."""

import sqlite3
import sys

import pytest
from benchmarks.rows import row_groups
from benchmarks.shipping import shipper, sink
from benchmarks.sizing import sizing_table
from benchmarks.subjects import intake
from benchmarks.table import Row
from benchmarks.workbench import Plan, workbench
from lab.filled_spool import Filler

from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application

ASGI = "benchmarks.subjects.asgi"


def test_subjects_take_turns_and_each_costs_something():
    with workbench(Plan(rounds=3, count=5)) as bench:
        subjects = {name: bench.subject(name, sys.executable, ASGI, name) for name in ("bare", "no-op")}
        samples = bench.alternate(subjects)
    assert {name: len(figures) for name, figures in samples.items()} == {"bare": 3, "no-op": 3}
    assert min(samples["bare"]) > 0


def test_the_floor_reaches_a_process_that_reads():
    with workbench(Plan(rounds=1, count=5)) as bench:
        path = str(bench.directory / "sink")
        bench.subject("sink", sys.executable, "benchmarks.subjects.sink", path).turn(0)
        assert bench.subject("floor", sys.executable, ASGI, "floor", path).turn(300)["cpu_s"] > 0


def test_a_subject_that_fails_shows_its_log():
    with workbench(Plan(1, 1)) as bench, pytest.raises(RuntimeError, match="no-such"):
        bench.subject("broken", sys.executable, ASGI, "no-such").turn(1)


def test_the_groups_come_in_the_order_of_their_numbers():
    names = list(row_groups())
    assert names == sorted(names, key=lambda name: int(name[1:]))
    assert {"P1", "P9"} <= set(names)


def test_a_shipper_is_measured_for_what_it_delivers_and_the_collector_counts_it():
    with workbench(Plan(rounds=1, count=1)) as bench:
        collector, url = sink(bench, "counting")
        cost = shipper(bench, "shipper", url, workers=2, batch_size=25).turn(200)
        seen = collector.turn(0)
    assert 0 < cost["cpu_s"] < 10
    assert (seen["events"], seen["requests"]) == (200, 8)
    assert 200 * 50 < seen["bytes"] < 200 * 1_000


def test_the_floor_of_intake_stores_what_intake_stores(tmp_path):
    with intake.floor(tmp_path) as turn:
        assert turn(500)["cpu_s"] > 0
    connection = sqlite3.connect(tmp_path / "floor.sqlite3")
    assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (3,)
    connection.close()


def test_a_filled_spool_holds_what_it_was_filled_with():
    spool = MemorySpool()
    Filler(spool, Application("application-of-the-filler")).append(1_000)
    assert spool.usage().events == 1_000


def test_the_sizes_follow_from_the_rows():
    def row(group: str, what: str, ours: float) -> Row:
        return Row(group, what, "", ours, 1.0, "")

    table = sizing_table(
        [
            row("P6", "CPU of the shipper for an event", 50.0),
            row("P9", "disk of a spooled event", 200.0),
            row("P9", "memory of an idle shipper", 38.0),
            row("P9", "most memory of a shipper, at work", 51.0),
            row("P9", "most memory of a shipper with a backlog", 52.0),
            row("P13", "time to deliver 1,000 of a backlog", 125.0),
        ]
    )
    assert "| 1,000 | 5.0% of a core | 720 MB | 1.5 h |" in table
    assert "Memory: 38 MB idle, 51 MB at full speed, 52 MB with a backlog." in table
    assert "about 20,000 events a second" in table
    assert "about 8,000 a second" in table

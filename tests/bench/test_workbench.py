"""Subjects take turns, answer in figures, and end with their workbench."""

import sys

import pytest
from benchmarks.rows import row_groups
from benchmarks.workbench import Plan, workbench

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

"""A row compares what its target bounds, and the tables show it."""

import json

from benchmarks.table import Row, Target, as_json, as_markdown, as_text
from benchmarks.workbench import added

ON_RATIO = Row("P1", "cost", "µs", 45.0, 30.0, "floor", Target(1.5, "≤ 1.5"))
ABSOLUTE = Row("P9", "time", "ms", 41.0, 400.0, "peer", Target(40, "≤ 40 ms", absolute=True))
FREE = Row("P1", "cost", "µs", 45.0, 0.0, "nothing", None)


def test_a_ratio_at_its_bound_is_met_and_above_it_is_not():
    assert ON_RATIO.met is True
    assert Row("P1", "cost", "µs", 45.1, 30.0, "floor", ON_RATIO.target).met is False


def test_an_absolute_target_ignores_the_ratio():
    assert ABSOLUTE.met is False


def test_a_row_without_target_is_neither_met_nor_missed():
    assert FREE.met is None
    assert FREE.cells()[-3:] == ("-", "-", "-")


def test_a_peer_that_costs_nothing_is_not_matched():
    assert Row("P1", "cost", "µs", 1.0, -2.0, "nothing", ON_RATIO.target).met is False


def test_a_text_table_has_aligned_columns():
    first, second, _ = as_text([ON_RATIO, ABSOLUTE]).splitlines()
    assert first.index("target") == second.index("≤ 1.5")


def test_a_markdown_table_has_a_rule_and_a_line_for_each_row():
    heading, rule, *rows = as_markdown([ON_RATIO, ABSOLUTE, FREE]).splitlines()
    assert heading.count("|") == rule.count("|") == rows[0].count("|")
    assert len(rows) == 3


def test_json_holds_the_verdict():
    assert [row["met"] for row in json.loads(as_json([ON_RATIO, ABSOLUTE]))] == [True, False]


def test_what_is_added_is_the_median_of_differences_within_a_round():
    assert added({"base": [1, 10, 5], "name": [3, 11, 8]}, "name", "base") == 2

"""All searches of a decision share its time; none can keep those of another rule from theirs."""

import sys
import time
from itertools import count
from pathlib import Path

import pytest
import regex
from lab.policies import blocker, call, policy
from lab.rules import blocking

from moesifasgi.policy.facts import MAX_SEARCHING_S
from moesifasgi.policy.search import (
    LEFT_BY_QUICK_S,
    LEFT_BY_SLOW_S,
    MAX_CHARACTERS,
    MAX_SEARCH_S,
    PARKED_S,
    Search,
)

ROUTE, AGENT, FIELD = "request.route", "request.headers.user-agent", "request.body.op"
CATASTROPHIC = r"^(([a-z])+.)+[A-Z]([a-z])+$"


@pytest.mark.parametrize(
    "pattern",
    ["delete", "(?i)DELETE", r"\bdelete\b", "delete$", "(delete|drop)$", "^(?! *read)", "delet[ed]"],
)
def test_padding_does_not_hide_what_an_ordinary_pattern_looks_for(pattern: str):
    body = {"op": " " * 90_000 + "delete"}

    assert blocker([blocking("r", (FIELD, pattern))], call(body=body)) == "r"


@pytest.mark.parametrize("pattern", ["(?i)evilbot{n}", r"\d{n}bot", "(?:bot|crawler){n}", "x{n}"])
def test_thousands_of_rules_on_a_long_header_take_no_longer_than_a_decision_may(pattern: str):
    rules = [blocking(f"r{number}", (AGENT, pattern.replace("{n}", str(number)))) for number in range(2_000)]
    governance = policy(*rules).governance
    facts = call(headers={"user-agent": "1evil bo" * 1_000})

    begun = time.thread_time()
    assert governance.decide(facts, None, None) is None

    assert time.thread_time() - begun < 2 * MAX_SEARCHING_S


def test_rules_on_slow_patterns_and_long_headers_do_not_switch_off_one_on_the_route():
    slow = [blocking(f"s{number}", (AGENT, r"^(\w+\s?)+$")) for number in range(5)]
    quick = [blocking(f"q{number}", (AGENT, f"(?i)evil{number}$|x")) for number in range(500)]
    rules = [*slow, *quick, blocking("admin", (ROUTE, "^/admin(/.*)*$"))]
    compiled = policy(*rules)

    for letters in (8_000, 8_000, 2_001, 490):
        facts = call(route="/admin/x", headers={"user-agent": "a" * letters + "!"})
        verdict = compiled.governance.decide(facts, None, None)
        assert verdict is not None
        assert verdict.block is not None
        assert verdict.block.rule_id == "admin"


def test_slow_searches_leave_time_to_quick_ones_and_those_to_short_texts():
    slow, quick = (Search(pattern, "r", time.perf_counter) for pattern in ("^(/?[a-z]+)+/admin$", "(?i)bot"))
    short, long = "/x/admin", "/x" * 200 + "/admin"
    assert slow.timed(long, call())
    facts = call()

    facts.searching_left_s = LEFT_BY_SLOW_S
    assert not slow.timed(long, facts)
    assert slow.timed(short, facts)
    assert quick.timed("x" * 8_000 + "bot", facts)
    facts.searching_left_s = LEFT_BY_QUICK_S
    assert Search("x*bot", "r", time.perf_counter).timed("-" * 150 + "bot", facts)
    assert not quick.timed("x" * 8_000 + "bot", facts)
    assert slow.timed(short, facts)
    facts.searching_left_s = 0
    assert not slow.timed(short, facts)


def test_with_little_time_left_a_short_text_has_little():
    slow = Search(CATASTROPHIC, "r", time.thread_time)
    left_s = []
    for _ in range(3):  # Any one of them may be late.
        facts = call()
        facts.searching_left_s = LEFT_BY_SLOW_S
        assert not slow.timed("a" * 200, facts)
        left_s.append(facts.searching_left_s)

    assert LEFT_BY_SLOW_S - MAX_SEARCH_S < max(left_s) < LEFT_BY_SLOW_S
    assert slow.parked() is None


def test_a_quick_search_is_charged_and_not_for_what_other_threads_take():
    seconds = count()
    search = Search("(?i)bot", "r", lambda: float(next(seconds)))
    facts = call()

    assert not search.timed("x" * 8_000, facts)

    assert MAX_SEARCHING_S - 0.001 < facts.searching_left_s < MAX_SEARCHING_S


@pytest.mark.parametrize("characters", [5_000, 200])
def test_a_search_that_comes_late_takes_nothing_of_what_is_kept_for_others(characters: int):
    seconds = count()
    search = Search(CATASTROPHIC, "r", lambda: float(next(seconds)))
    facts = call()

    assert not search.timed("a" * characters, facts)

    assert facts.searching_left_s == LEFT_BY_SLOW_S


def test_a_parked_pattern_is_still_searched_in_texts_of_less_than_a_quarter():
    now_s = time.perf_counter()
    search = Search(CATASTROPHIC, "r", time.perf_counter)
    assert not search.timed("a" * 5_000, call())
    facts = call()

    assert not search.timed("a" * 1_250, facts)
    assert facts.searching_left_s == MAX_SEARCHING_S, "it was searched"
    assert not search.timed("a" * 1_249, facts)
    assert facts.searching_left_s < MAX_SEARCHING_S, "it was not searched"
    assert time.perf_counter() - now_s < PARKED_S


@pytest.mark.parametrize(
    "source", ["", "raise SystemError('of the application')", "def compile(pattern): ..."]
)
def test_a_module_of_the_application_named_regex_costs_slow_patterns_only(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "regex.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, regex.__name__)
    rules = [
        blocking("explosive", (ROUTE, "^(/[a-z]+)+$")),
        blocking("linear", (ROUTE, "^/b/[a-z]*/[a-z]*$")),
        blocking("letters", (ROUTE, "/c")),
    ]

    compiled = policy(*rules)

    (fault,) = compiled.faults
    named = "cannot be loaded" if "raise" in source else f"is shadowed by {tmp_path / 'regex.py'}"[:100]
    assert fault.startswith(f"the package 'regex' {named}")
    assert blocker(rules, call(route="/a")) is None
    assert blocker(rules, call(route="/b/x/y")) == "linear"
    assert blocker(rules, call(route="/b/x/" + "y" * MAX_CHARACTERS)) is None
    assert blocker(rules, call(route="/c" + "y" * MAX_CHARACTERS)) == "letters"

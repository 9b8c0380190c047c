"""Patterns come from people, texts from anyone: no search holds up the worker or switches off a rule."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from lab.policies import blocker, call, entry, policy
from lab.rules import blocking

from moesifasgi.policy.search import (
    LEFT_BY_SLOW_S,
    MAX_CHARACTERS,
    MAX_SEARCH_S,
    PARKED_S,
    Search,
)

ROUTE = "request.route"
CATASTROPHIC = r"^(([a-z])+.)+[A-Z]([a-z])+$"
SLOW_S = 0.020
"""The promise: `regex` may be late, but no more than this."""
NASTY = [
    CATASTROPHIC,
    "(a+)+$",
    "(a|aa)+$",
    "(a|a)*b",
    r"(\w+)\1+x",
    ".*.*.*x",
    "(.*)(.*)(.*)[0-9]$",
    r"\s+$",
    "a*b",
    "a?" * 30 + "a" * 30,
    "(aa|a)" * 20 + "c",
    "[ab]{500}c",
    "(a{1,50}){1,50}b",
    "(?:a?b?)*?c",
    "((a*)*)*b",
    "(?i)a.*b.*c.*d",
    "(?m)^a*$b",
    "(a)?(?(1)b|c)*d",
    ".{0,200}.{0,200}x",
]
TEXTS = ["a" * 30, "a" * 300, "a" * 5_000, "ab" * 4_000, " " * 8_000 + "x", "1" * 8_000 + "!", "a" * 100_000]


class Clock:
    """Real time, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.perf_counter() + self.ahead_s


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of this thread: of wall time, other processes take their share."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


@pytest.mark.parametrize("pattern", NASTY)
def test_no_search_takes_long(pattern: str):
    for text in TEXTS:
        # Twice, since the first may be slow for another reason, such as memory; anew, since it may be parked.
        searches = [Search(pattern, "r", time.perf_counter) for _ in range(2)]
        taken = min(cpu_s(partial(_searched, search, text)) for search in searches)
        assert taken < SLOW_S, (len(text), taken)


def test_a_decision_of_many_slow_rules_takes_no_longer_than_a_few():
    rules = [blocking(f"r{number}", (ROUTE, CATASTROPHIC)) for number in range(50)]
    governance = policy(*rules).governance

    taken = cpu_s(lambda: governance.decide(call(route="a" * 5_000), None, None))

    assert taken < 4 * MAX_SEARCH_S + SLOW_S


def test_a_rule_that_takes_too_long_lets_the_call_pass_and_is_reported():
    clock = Clock()
    compiled = policy(blocking("slow", (ROUTE, CATASTROPHIC)), clock=clock)
    assert compiled.parked() == ()

    assert compiled.governance.decide(call(route="a" * 5_000), None, None) is None

    (line,) = compiled.parked()
    assert line.startswith("rule slow: ")
    assert CATASTROPHIC not in line
    clock.ahead_s = PARKED_S + 1
    assert compiled.parked() == ()


def test_a_sampling_entry_that_takes_too_long_is_reported_too():
    compiled = policy(config={"regex_config": [entry((ROUTE, CATASTROPHIC), sample_rate=1)]})

    assert compiled.sampling.rate(call(route="a" * 5_000), None, None) == 100
    assert compiled.parked()[0].startswith("sampling entry number 0: ")


def test_what_is_parked_costs_nothing_until_its_time_is_over():
    clock = Clock()
    search = Search(CATASTROPHIC, "r", clock)
    assert not search.timed("a" * 5_000, call())

    taken = cpu_s(lambda: [search.timed("a" * 5_000, call()) for _ in range(100)])

    assert taken < MAX_SEARCH_S
    clock.ahead_s = PARKED_S + 1
    assert cpu_s(lambda: search.timed("a" * 5_000, call())) > MAX_SEARCH_S / 2


def test_nobody_can_switch_off_a_rule_for_others():
    rules = [blocking("r", (ROUTE, "^(/?[a-z]+)+/admin$"))]
    compiled = policy(*rules)
    # Exponential: even the shortest of these would take hours.
    for letters in (8_000, 1_900, 450, 100):
        compiled.governance.decide(call(route="/" + "a" * letters + "/admin!"), None, None)
    assert compiled.parked()

    verdict = compiled.governance.decide(call(route="/x/admin"), None, None)

    assert verdict is not None
    assert verdict.block is not None


def test_with_little_time_left_a_search_may_fail_but_is_not_parked():
    search = Search(CATASTROPHIC, "r", time.perf_counter)
    facts = call()
    facts.searching_left_s = LEFT_BY_SLOW_S + MAX_SEARCH_S / 10

    assert not search.timed("a" * 5_000, facts)

    assert search.parked() is None
    assert facts.searching_left_s <= LEFT_BY_SLOW_S


def test_an_ordinary_pattern_is_found_in_a_long_text_as_in_a_short_one():
    search = Search(r"delete\w*User", "r", time.perf_counter)

    assert search.timed("x" * (MAX_CHARACTERS - 20) + "deleteAnyUser", call())
    assert not search.timed("x" * (MAX_CHARACTERS - 20) + "getUser", call())


def test_of_a_text_that_is_too_long_the_first_part_is_searched_for_a_slow_pattern():
    search = Search("se*c*ret", "r", time.perf_counter)

    assert search.timed("secret" + "x" * MAX_CHARACTERS, call())
    assert not search.timed("x" * MAX_CHARACTERS + "secret", call())


@pytest.mark.parametrize("pattern", ["x*x*$", r"x*x*\Z", "^(?!.*.*y)", "x*x*(?=x)", r"x*x*\B"])
def test_what_looks_at_the_end_does_not_match_a_part_of_a_text(pattern: str):
    search = Search(pattern, "r", time.perf_counter)

    assert _searched(search, "x" * 100 + ("x" if "B" in pattern else ""))
    assert not search.timed("x" * (MAX_CHARACTERS + 10) + "y", call())


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        (r"mutation\s*{\s*delete", "mutation { deleteUser }", "mutation ( deleteUser )"),
        ("a*{deleteUser}", "{deleteUser}", "a"),
        ("(?:food){e<=1}*", "food{e<=1", "fool"),
        ("a*{}", "{}", "a"),
        (r"[{[]a*\{", "[{", "a{"),
    ],
)
def test_a_brace_is_a_brace_however_it_is_searched(pattern: str, found: str, not_found: str):
    search = Search(pattern, "r", time.perf_counter)

    for text, expected in ((found, True), (not_found, False)):
        padded = text + "~" * 6_000
        assert _searched(search, text) is expected
        assert len(padded) > search.direct_characters
        assert search.timed(padded, call()) is expected


def test_ordinary_patterns_are_searched_directly():
    for pattern in (
        "^/api/v1/users/[0-9]+$",
        "^GET$",
        "admin",
        "^/a/[^/]+/b$",
        "^(GET|POST)$",
        ".*/admin/.*",
    ):
        assert Search(pattern, "r", time.perf_counter).direct_characters >= 150, pattern


def test_a_rule_with_a_slow_pattern_still_works():
    rules = [blocking("r", (ROUTE, "^(/[a-z]+)+$"))]

    assert blocker(rules, call(route="/a/b/c")) == "r"
    assert blocker(rules, call(route="/a/b/C")) is None


def _searched(search: Search, text: str) -> bool:
    if len(text) <= search.direct_characters:
        return bool(search.direct(text))
    return search.timed(text, call())


@pytest.mark.parametrize("letters", [500, 2_000, 4_096])
def test_mere_letters_are_never_slow(letters: int) -> None:
    for pattern in ("a" * letters, "a" * (letters - 1) + "b", "b" + "a" * (letters - 1)):
        search = Search(pattern, "r", time.perf_counter)
        for text in ("a" * 8_192, ("a" * 300 + "b") * 30):
            assert cpu_s(partial(_searched, search, text)) < 0.001
            assert _searched(search, text) is (pattern in text)

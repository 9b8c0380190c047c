"""A pattern that could cost a worker its memory or its time when it is compiled is not taken."""

import time
import tracemalloc

import pytest
from lab.policies import call, policy
from lab.rules import blocking

from moesifasgi.policy.search import BadPatternError, Search

ROUTE = "request.route"


@pytest.mark.parametrize(
    "pattern", ["(", "[", "a{2,1}", "*", "(?P<a>.)(?P<a>.)", "(?<=a+)b", r"\q", "a" * 4_097]
)
def test_a_pattern_that_is_none_is_refused_without_being_shown(pattern: str):
    with pytest.raises(BadPatternError) as refused:
        Search(pattern, "r", time.perf_counter)

    assert len(str(refused.value)) < 120


@pytest.mark.parametrize(
    "pattern",
    [
        "((((a{100}){100}){100}){100}){100}",
        "(?:(?:x?){2000}){2000}",
        "(?:[ab]{3000}){3000}",
        "(?:a{65535}b){65535}",
        "(a{1000,}){1000,}",
        "(?:(?:(?=[/G]){1000}){1000}){1000}X",
        "(?:(?:(?:){1000}){1000}){1000}X",
        "(?:(?:(?i:)){1000}?){1000}+",
        "(?:(?:(?#none)){1000}){1000}",
        r"(?:\b){1000}(?:(?:\b){1000}){1000}",
    ],
)
def test_a_pattern_that_would_be_gigabytes_when_compiled_is_refused(pattern: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadPatternError, match="nested too large"):
            Search(pattern, "r", time.perf_counter)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pattern", ["x*x*" + "a" * 500, "(?:a*)*(?:" + "(?:)a" * 300 + "|b)"])
def test_letters_that_would_keep_a_timed_search_from_the_clock_are_refused(pattern: str) -> None:
    with pytest.raises(BadPatternError, match="letters in a row"):
        Search(pattern, "r", time.perf_counter)


@pytest.mark.parametrize(
    "pattern", ["(?:[0-9a-f]{4}-){7}[0-9a-f]{4}", "^.{1,5000}$", "(a{50}){50}", "x{4999}"]
)
def test_repeats_as_people_write_them_are_taken(pattern: str) -> None:
    Search(pattern, "r", time.perf_counter)


def test_a_policy_of_too_many_large_patterns_is_taken_as_far_as_it_goes() -> None:
    rules = [blocking(f"r{number}", (ROUTE, f"{number:03}x{{4900}}y")) for number in range(130)]
    compiled = policy(*rules)
    left_out = [fault for fault in compiled.faults if "all that is taken" in fault]
    assert len(left_out) == 29
    assert compiled.governance.decide(call(route="100" + "x" * 4_900 + "y"), None, None) is not None
    assert compiled.governance.decide(call(route="101" + "x" * 4_900 + "y"), None, None) is None

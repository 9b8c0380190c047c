"""Other forms of a pattern find the same as the pattern."""

import random
import re

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from moesifasgi.policy.pattern import literal_of, plain_for_regex, without_idle_ends


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        (".*a.*", "a"),
        (".*?a.*?", "a"),
        (".*.*a", "a"),
        (".*", ""),
        (r"a\.*", r"a\.*"),
        ("[a.*]", "[a.*]"),
        (".*|a", ".*|a"),
        ("^.*a", "^.*a"),
        ("a.*$", "a.*$"),
        (".+a", ".+a"),
        ("(.*a)", "(.*a)"),
    ],
)
def test_ends_that_match_anything_are_left_out(pattern: str, left: str):
    assert without_idle_ends(pattern) == left


@pytest.mark.parametrize(
    ("pattern", "letters"),
    [
        ("", ""),
        ("/a-b", "/a-b"),
        (r"a\.b\\", "a.b\\"),
        ("{x]}", "{x]}"),
        ("a.", None),
        ("^a", None),
        ("a$", None),
        (r"\d", None),
        (r"\n", None),
        ("[a]", None),
        ("a|b", None),
        ("(a)", None),
        ("a+", None),
        ("a{2}", None),
        ("(?i)a", None),
        ("a(?#b)", None),
    ],
)
def test_it_knows_mere_letters(pattern: str, letters: str | None):
    assert literal_of(pattern) == letters


@given(st.text(r"ab.\/-{}[]^$()|*+? é", max_size=6), st.text(r"ab.\/-{}[]^$ é", max_size=8))
def test_letters_are_found_where_the_pattern_is(pattern: str, text: str):
    try:
        found = re.search(pattern, text)
    except (re.error, FutureWarning):
        return
    letters = literal_of(pattern)

    assert letters is None or (letters in text) is bool(found)


_PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "(a|b)",
        "(?:ab)",
        r"\w",
        "^",
        "$",
        "*",
        "+",
        "?",
        ".*",
        ".*?",
        "(",
        ")",
        "|",
        "{2}",
        "\n",
    ]
)


@given(st.lists(_PIECES, max_size=6).map("".join), st.text("ab\n", max_size=6))
@example(".*a.*", "b\na\nb")
@example(".*$", "a\n")
def test_without_its_idle_ends_a_pattern_finds_the_same(pattern: str, text: str):
    try:
        whole = re.compile(pattern)
    except re.error:
        return

    assert bool(whole.search(text)) is bool(re.search(without_idle_ends(pattern), text))


def test_regex_reads_a_plain_pattern_as_re_does():
    chance = random.Random(5)
    pieces = ["a", "b", "e", "{", "}", "<=1", "2", ",", "[", "[:", "alpha", ":]", "]", "[^", r"\[", r"\{"]
    pieces += ["(", ")", "|", "*", "?", r"\b", ".", "^", "$", "&&", "--", "#", "(?:", "(?x)", "{1,2}", "{,}"]
    texts = ("a", "ab{e}", "b a{1}d", "[:a]", "a{e<=1}")
    found = 0
    for _ in range(10_000):
        pattern = "".join(chance.choices(pieces, k=chance.randint(2, 7)))
        try:
            search = re.compile(pattern).search
        except (re.error, FutureWarning, DeprecationWarning):
            continue
        timed = regex.compile(plain_for_regex(pattern), regex.VERSION0).search
        assert [bool(search(text)) for text in texts] == [bool(timed(text)) for text in texts], pattern
        found += 1
    assert found > 1_000

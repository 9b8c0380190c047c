"""How long a search can take, told from the text of its pattern."""

import random
import re

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from moesifasgi.policy.shape import Shape, plain_for_regex, shape_of, without_idle_ends


@pytest.mark.parametrize(
    ("pattern", "degree"),
    [
        ("", 1),
        ("a", 1),
        ("^a", 0),
        (r"\Aa", 0),
        ("(?i)^a", 0),
        ("(?m)^a", 1),
        ("^a|b", 1),
        ("(^a|^b)", 1),
        ("^a*", 1),
        ("a*", 2),
        ("a+?b*", 3),
        ("a++", 2),
        ("a{2,}", 2),
        ("a{,}", 2),
        ("(?:ab)*", 2),
        ("[*+]", 1),
        ("[]*]", 1),
        ("[^]*]", 1),
        (r"[\]*]", 1),
        (r"\*\+", 1),
        (r"\\*", 2),
        ("(?#a*b*)c", 1),
        ("{", 1),
        ("a{}", 1),
        ("(?=a*)", 2),
        ("(?P<x>a*)", 2),
    ],
)
def test_unbounded_quantifiers_and_a_loose_start_are_counted(pattern: str, degree: int):
    shape = shape_of(pattern)

    assert (shape.degree, shape.explosive) == (degree, False)


@pytest.mark.parametrize(
    ("pattern", "factor"),
    [
        ("a", 1),
        ("a?", 2),
        ("a{3}", 4),
        ("a{1,3}", 3),
        ("a{,3}", 4),
        ("(a|b|c)", 3),
        ("a|b", 2),
        ("(a|b)(c|d)", 4),
    ],
)
def test_choices_multiply(pattern: str, factor: int):
    assert shape_of(pattern).factor == factor


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a|b)*",
        "(a?)*",
        "(a*){2}",
        "(a|b){2,5}",
        "((a+))+",
        "((a|b)c)+",
        "(?:a+b)+?",
        r"(a)\1",
        "(?P<x>a)(?P=x)",
        "(a)?(?(1)b|c)",
        "(?x) a",
        "(?x:a # )\n)",
        "(?i-s:a)",
    ],
)
def test_a_repeated_choice_a_back_reference_and_what_is_strange_explode(pattern: str):
    re.compile(pattern)

    assert shape_of(pattern).explosive


@pytest.mark.parametrize(
    "pattern", ["(ab)+", "(a|b)?", "(a+)?", "(a+)", "(a|b)", "[(a+)+]", r"\(a+\)+", "(a{2})*"]
)
def test_a_group_that_repeats_no_choice_does_not(pattern: str):
    assert not shape_of(pattern).explosive


@pytest.mark.parametrize(
    ("pattern", "looks"),
    [
        ("a$", True),
        (r"a\Z", True),
        ("(?=a)", True),
        ("(?<!a)b", True),
        (r"\ba", True),
        (r"\$", False),
        ("[$]", False),
    ],
)
def test_it_knows_what_looks_beyond_a_match(pattern: str, looks: bool):
    assert shape_of(pattern).looks_ahead is looks


@pytest.mark.parametrize(
    ("shape", "characters"),
    [
        (Shape(False, 0, 1, False), 1_000),
        (Shape(False, 1, 1, False), 1_000),
        (Shape(False, 1, 50, False), 200),
        (Shape(False, 2, 1, False), 100),
        (Shape(False, 4, 1, False), 10),
        (Shape(False, 0, 10_001, False), 0),
        (Shape(True, 0, 1, False), 0),
    ],
)
def test_the_longest_text_follows_from_the_steps(shape: Shape, characters: int):
    assert shape.characters(10_000, 1_000) == characters


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


def test_every_pattern_that_re_takes_has_a_shape():
    chance = random.Random(3)
    pieces = [
        "a",
        "(",
        ")",
        "[",
        "]",
        "|",
        "*",
        "+",
        "?",
        "{1,2}",
        "\\",
        "^",
        "$",
        "(?:",
        "(?=",
        "(?P<x>",
        "(?i)",
        "-",
    ]
    found = 0
    for _ in range(20_000):
        pattern = "".join(chance.choices(pieces, k=chance.randint(1, 7)))
        try:
            re.compile(pattern)
        except (re.error, FutureWarning, DeprecationWarning):
            continue
        assert shape_of(pattern).factor >= 1
        found += 1
    assert found > 1_000

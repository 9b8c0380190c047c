"""How long a search can take, told from the text of its pattern."""

import random
import re

import pytest

from moesifasgi.policy.shape import Shape, shape_of


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
        ("a{3}", 3),
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
    ("pattern", "run", "factor"),
    [
        ("abcdefgh", 8, 1),
        ("aaaaaaaa", 8, 2),
        ("abababababab", 12, 3),
        ("aaaa|aaaa", 4, 2),
        ("(?:a)(?:b)ac", 4, 1),
        ("aaa*aa", 3, 1),
        ("[ab][ab][ab][ab][ab]", 5, 2),
    ],
)
def test_letters_in_a_row_are_counted_and_cost_more_where_they_repeat(pattern: str, run: int, factor: int):
    shape = shape_of(pattern)

    assert (shape.run, shape.factor) == (run, factor)


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

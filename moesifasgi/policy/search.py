r"""A dashboard's pattern, searched in what a client sent, for a bounded time.

Patterns come from people, texts from anyone, and the search runs on the event loop. Where the pattern's shape
says that a text of this length cannot take long, ``re`` searches it (0.2 µs); mere letters are looked for by
``in``. Any other search is done by ``regex``, which can stop after a given time but needs 2.5 µs.

A search that is stopped counts as not found: the call passes. The pattern is then *parked* for texts that are
not much shorter than the one it was stopped at, so that nobody can slow down the worker with more of them;
shorter texts are still searched, so that nobody can switch off a rule for others either.

All searches of a decision but the quick ones in short texts share its time, and each kind leaves some to
those after it: slow ones in long texts, quick ones in long texts, slow ones in short texts.

Of a text longer than MAX_CHARACTERS the first part is searched for a slow pattern; one that looks at what
comes later (``$``, ``\b``, lookarounds) does not match it.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from moesifasgi.policy.facts import Facts, Several
from moesifasgi.policy.pattern import literal_of, plain_for_regex, without_idle_ends
from moesifasgi.policy.shape import Shape, shape_of

MAX_CHARACTERS: Final = 8_192
"""`regex` looks at the clock now and then only; in longer texts it was up to 15 ms late."""
MAX_PATTERN_CHARACTERS: Final = 4_096
MAX_PIECES: Final = 5_000
"""Of a pattern whose repeats are written out: ``regex`` does so, and a nested repeat came to gigabytes."""
MAX_RUN: Final = 200
"""Letters in a row for `regex`, which forgets the clock over them: 500 equal ones took 40 ms, 1,000 300."""
MAX_SEARCH_S: Final = 0.005
PARKED_S: Final = 60.0
_PARKED_SHARE = 4
"""A parked pattern is not searched in texts of this part of the length at which it was stopped, and above."""

SHORT_CHARACTERS: Final = 256
"""Such as a verb, a route, an address: long headers must not keep a rule from looking at these."""
MAX_SHORT_SEARCH_S: Final = 0.001
"""For a short text, once the time is down to what slow searches in long texts leave."""
LEFT_BY_SLOW_S: Final = 0.010
LEFT_BY_QUICK_S: Final = 0.005

_STEPS = 30_000
"""What `re` may take: up to some 0.3 ms."""
_LINEAR_STEPS = 200_000
"""The same where the time grows with the text's length alone: some 2 ms."""
_FREE_STEPS = 10_000
_FREE_CHARACTERS = 500
_MAX_TEXT = 1_000_000
"""A longer one is cut for any pattern."""
_STEP_S = 50e-9
"""At most: most steps take 10 ns."""
_START_S = 1e-6
"""What is around a search, at most."""


class BadPatternError(Exception):
    """The pattern cannot be used; says why, without the pattern."""


class Search:
    """A rule's pattern: ``direct`` for texts of up to ``direct_characters``, ``timed`` for longer ones."""

    __slots__ = (
        "_clock",
        "_parked_characters",
        "_parked_until_s",
        "_plain_characters",
        "_shape",
        "_timed",
        "direct",
        "direct_characters",
        "needs_time",
        "owner",
        "pieces",
    )

    def __init__(self, pattern: str, owner: str, clock: Callable[[], float]) -> None:
        """``owner`` is the rule, for ``parked``. Raises BadPatternError."""
        if len(pattern) > MAX_PATTERN_CHARACTERS:
            raise BadPatternError(f"its pattern is longer than {MAX_PATTERN_CHARACTERS} characters")
        self.owner = owner
        self._clock = clock
        self._parked_until_s = float("-inf")
        self._parked_characters = 0
        self.direct, self._shape, self._timed = _compiled(pattern)
        self.pieces = self._shape.pieces
        self.needs_time = _needs_time(self._shape)
        self._plain_characters = _plain_characters(self._shape)
        free = self._shape.characters(_FREE_STEPS, _MAX_TEXT)
        self.direct_characters = free if self._shape.degree == 0 else min(free, _FREE_CHARACTERS)

    @property
    def can_be_timed(self) -> bool:
        """False: no `regex` was there for it, so it is not searched in texts that may take long."""
        return self._timed is not None

    def timed(self, text: str, facts: Facts) -> bool:
        """Whether it is found in a text that may take long, or in one of several.

        False too where the time is not enough to say.
        """
        if isinstance(text, Several):
            return self._found_in_one(text, facts)
        return self._found(text, facts, len(text))

    def parked(self) -> str | None:
        """A line about it while it is parked."""
        if self._clock() >= self._parked_until_s:
            return None
        return (
            f"{self.owner}: a pattern took longer than {MAX_SEARCH_S * 1000:g} ms; "
            f"texts of {self._parked_characters} characters and more are not searched for {PARKED_S:g} s"
        )

    def _found_in_one(self, several: Several, facts: Facts) -> bool:
        for text in several.texts:
            if facts.searching_left_s <= LEFT_BY_QUICK_S:
                return False
            # There may be thousands, so even those that are not searched cost time.
            facts.searching_left_s -= _START_S
            if self._found(text, facts, len(several)):
                return True
        return False

    def _found(self, text: str, facts: Facts, characters: int) -> bool:
        """``characters``: of all that is looked at; it decides which part of the time there is for it."""
        most = max(self._plain_characters, MAX_CHARACTERS if self.can_be_timed else 0)
        if len(text) > most:
            if self._shape.looks_ahead:
                return False
            text = text[:most]
        is_short = characters <= SHORT_CHARACTERS
        if len(text) <= self._plain_characters:
            return self._found_quickly(text, facts, is_short)
        return self._found_in_time(text, facts, is_short)

    def _found_quickly(self, text: str, facts: Facts, is_short: bool) -> bool:
        kept_s = 0.0 if is_short else LEFT_BY_QUICK_S
        if facts.searching_left_s <= kept_s:
            return False
        begun = self._clock()
        found = bool(self.direct(text))
        # The clock runs on while another thread has the interpreter.
        at_most_s = _START_S + _STEP_S * self._shape.steps(len(text))
        _charge(facts, min(at_most_s, self._clock() - begun), kept_s)
        return found

    def _found_in_time(self, text: str, facts: Facts, is_short: bool) -> bool:
        left_s = facts.searching_left_s
        is_late = left_s <= LEFT_BY_SLOW_S
        kept_s = 0.0 if is_short and is_late else LEFT_BY_SLOW_S
        limit_s = min(left_s - kept_s, MAX_SHORT_SEARCH_S if is_late else MAX_SEARCH_S)
        begun = self._clock()
        if limit_s <= 0 or self._is_parked(len(text), begun):
            return False
        found = self._stopped_search(text, limit_s)
        _charge(facts, self._clock() - begun, kept_s)
        return found

    def _is_parked(self, characters: int, now_s: float) -> bool:
        return characters >= self._parked_characters and now_s < self._parked_until_s

    def _stopped_search(self, text: str, timeout_s: float) -> bool:
        try:
            # Not concurrent: to give up the interpreter and get it back can take longer than the search.
            return self._timed.search(text, timeout=timeout_s, concurrent=False) is not None
        except (TimeoutError, MemoryError):
            # With less than its whole time it could not show that it is a slow one.
            if timeout_s >= MAX_SEARCH_S:
                self._parked_characters = max(1, len(text) // _PARKED_SHARE)
                self._parked_until_s = self._clock() + PARKED_S
            return False


def why_untimed() -> str:
    """What is in the way of `regex`, for a person: most often a file of the application with that name."""
    where = getattr(sys.modules.get("regex"), "__file__", None)
    return f"the package 'regex' is shadowed by {where}" if where else "the package 'regex' cannot be loaded"


def _charge(facts: Facts, taken_s: float, kept_s: float) -> None:
    """A search that came late, or was kept waiting, takes nothing of what is kept for others."""
    facts.searching_left_s = max(facts.searching_left_s - taken_s, kept_s)


def _plain_characters(shape: Shape) -> int:
    """The longest text that `re` may search."""
    return shape.characters(_LINEAR_STEPS if shape.degree <= 1 else _STEPS, _MAX_TEXT)


def _needs_time(shape: Shape) -> bool:
    return _plain_characters(shape) < MAX_CHARACTERS


def _compiled(pattern: str) -> tuple[Callable[[str], object], Shape, Any]:
    """For ``re`` or ``in``, and for ``regex`` where it needs that."""
    try:
        re.compile(pattern)
        pattern = without_idle_ends(pattern)
        shape = shape_of(pattern)
        if shape.pieces > MAX_PIECES:
            raise ValueError("its repeats are nested too large")
        if (letters := literal_of(pattern)) is not None:
            # Two-way search: its time does not depend on the letters.
            return _finder(letters), replace(shape, factor=1), None
        return re.compile(pattern).search, shape, _timed(pattern, shape) if _needs_time(shape) else None
    except Exception as error:  # whatever a compiler stumbles over costs one rule, not all
        raise BadPatternError(f"its pattern cannot be used: {error}") from error


def _finder(letters: str) -> Callable[[str], bool]:
    return lambda text: letters in text


def _timed(pattern: str, shape: Shape) -> Any:
    if shape.run > MAX_RUN:
        raise ValueError(f"it needs a time limit, and has more than {MAX_RUN} letters in a row")
    try:
        # Only few policies need it, and it takes 17 ms to load.
        import regex
    except Exception:  # noqa: BLE001  (a file of the application with that name may do anything)
        return None
    if not hasattr(regex, "VERSION0"):
        return None
    return regex.compile(plain_for_regex(pattern), regex.VERSION0)

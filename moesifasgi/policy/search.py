r"""A dashboard's pattern, searched in what a client sent, for a bounded time.

Patterns come from people, texts from anyone, and the search runs on the event loop. Where the pattern's shape
says that a text of this length cannot take long, ``re`` searches it (0.2 µs). Any other search is done by
``regex``, which can stop after a given time but needs 2.5 µs.

A search that is stopped counts as not found: the call passes. The pattern is then *parked* for texts that are
not much shorter than the one it was stopped at, so that nobody can slow down the worker with more of them;
shorter texts are still searched, so that nobody can switch off a rule for others either.

Of a longer text than MAX_CHARACTERS the first part is searched; a pattern that looks at what comes later
(``$``, ``\b``, lookarounds) does not match it.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from moesifasgi.policy.facts import Facts
from moesifasgi.policy.shape import Shape, plain_for_regex, shape_of, without_idle_ends

MAX_CHARACTERS: Final = 8_192
"""`regex` looks at the clock now and then only; in longer texts it was up to 15 ms late."""
MAX_PATTERN_CHARACTERS: Final = 4_096
MAX_PIECES: Final = 5_000
"""Of a pattern whose repeats are written out: ``regex`` does so, and a nested repeat came to gigabytes."""
MAX_SEARCH_S: Final = 0.005
PARKED_S: Final = 60.0
_PARKED_SHARE = 4
"""A parked pattern is not searched in texts of this part of the length at which it was stopped, and above."""
_STEPS = 30_000
"""What `re` may take: up to some 0.1 ms."""


class BadPatternError(Exception):
    """The pattern cannot be used; says why, without the pattern."""


class Search:
    """One pattern of one rule."""

    __slots__ = (
        "_clock",
        "_looks_ahead",
        "_parked_characters",
        "_parked_until_s",
        "_timed",
        "direct",
        "direct_characters",
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
        self.direct, shape, self._timed = _compiled(pattern)
        self.pieces = shape.pieces
        self._looks_ahead = shape.looks_ahead
        # `direct` finds it in texts of up to so many characters in a short time; beyond them, call `timed`.
        self.direct_characters = shape.characters(_STEPS, MAX_CHARACTERS)

    def timed(self, text: str, facts: Facts) -> bool:
        """Whether it is found in a text that may take long; False too where the time is not enough to say."""
        if len(text) > MAX_CHARACTERS:
            if self._looks_ahead:
                return False
            text = text[:MAX_CHARACTERS]
        if len(text) <= self.direct_characters:
            return self.direct.search(text) is not None
        begun = self._clock()
        if self._is_parked(len(text), begun) or facts.searching_left_s <= 0:
            return False
        found = self._stopped_search(text, min(facts.searching_left_s, MAX_SEARCH_S))
        facts.searching_left_s -= self._clock() - begun
        return found

    def parked(self) -> str | None:
        """A line about it while it is parked."""
        if self._clock() >= self._parked_until_s:
            return None
        return (
            f"{self.owner}: a pattern took longer than {MAX_SEARCH_S * 1000:g} ms; "
            f"texts of {self._parked_characters} characters and more are not searched for {PARKED_S:g} s"
        )

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


def _compiled(pattern: str) -> tuple[re.Pattern[str], Shape, Any]:
    try:
        re.compile(pattern)
        pattern = without_idle_ends(pattern)
        shape = shape_of(pattern)
        if shape.pieces > MAX_PIECES:
            raise ValueError("its repeats are nested too large")
        needs_time = shape.characters(_STEPS, MAX_CHARACTERS) < MAX_CHARACTERS
        return re.compile(pattern), shape, _timed(pattern) if needs_time else None
    except Exception as error:  # whatever a compiler stumbles over costs one rule, not all
        raise BadPatternError(f"its pattern cannot be used: {error}") from error


def _timed(pattern: str) -> Any:
    # Only few policies need it, and it takes 17 ms to load.
    import regex

    return regex.compile(plain_for_regex(pattern), regex.VERSION0)

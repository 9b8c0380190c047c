"""Conditions on a call: entries of which one must hold, each a list of conditions that must all hold.

They are compiled to *rows*, one an entry, that are tried in a flat loop: with a hundred rules, what is around
a search would otherwise cost more than the search.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from sys import intern
from typing import Any, NamedTuple, TypeAlias, TypeVar

from moesifasgi.policy.facts import UNSEEN, Facts, is_known, is_of_body
from moesifasgi.policy.faults import Faults
from moesifasgi.policy.search import MAX_CHARACTERS, BadPatternError, Search, why_untimed
from moesifasgi.policy.text import is_list, text_of

T = TypeVar("T")

MAX_PIECES_OF_A_POLICY = 500_000
"""Of all its patterns together; a compiled piece takes some hundred bytes in every worker."""


class Condition(NamedTuple):
    """``find`` for texts of up to ``direct_characters``, ``timed`` for longer ones."""

    path: str
    direct_characters: int
    find: Callable[[str], object]
    timed: Callable[[str, Facts], bool]


Entry: TypeAlias = tuple[Condition, ...]
Row: TypeAlias = tuple[str, int, Callable[[str], object], Callable[[str, Facts], bool], Entry, T]
"""The first condition of an entry, the others, and what it is an entry of.

A plain tuple: to take a named one apart costs three times as much.
"""


def _always(text: str, facts: Facts | None = None) -> bool:
    return True


ALWAYS: Entry = (Condition("request.verb", MAX_CHARACTERS, _always, _always),)


def row(entry: Entry, item: T) -> Row[T]:
    """The entry, for ``matching`` and ``first_match``; one without conditions always holds."""
    first, *others = entry or ALWAYS
    return (*first, tuple(others), item)


def holding(rows: Iterable[Row[T]], facts: Facts) -> Iterator[T]:
    """The items of the entries that hold, in their order."""
    texts: dict[str, str | None] = {}
    for path, direct_characters, find, timed, others, item in rows:
        try:
            text = texts[path]
        except KeyError:
            text = texts[path] = _text(facts, path)
        if text is None:
            continue
        if (find(text) if len(text) <= direct_characters else timed(text, facts)) and (
            not others or _all_hold(others, facts)
        ):
            yield item


def matching(rows: Iterable[Row[T]], facts: Facts) -> list[T]:
    """The items with an entry that holds, in their order, each once."""
    return list(dict.fromkeys(holding(rows, facts)))


def first_match(rows: Iterable[Row[T]], facts: Facts) -> T | None:
    """The item of the first entry that holds."""
    return next(holding(rows, facts), None)


def before_body(entry: Entry) -> Entry | None:
    """What of an entry can be said before the body is read; None if the entry does not look at it."""
    rest = tuple(condition for condition in entry if not is_of_body(condition.path))
    return None if len(rest) == len(entry) else rest


def _all_hold(conditions: Entry, facts: Facts) -> bool:
    for path, direct_characters, find, timed in conditions:
        value = _text(facts, path)
        if value is None:
            return False
        if not (find(value) if len(value) <= direct_characters else timed(value, facts)):
            return False
    return True


def _lateness(condition: Condition) -> int:
    """A verb rules out few calls; the body is to be decoded only if all else holds."""
    return 2 if is_of_body(condition.path) else condition.path == "request.verb"


def _text(facts: Facts, path: str) -> str | None:
    value = facts.value(path)
    return None if value is UNSEEN else value


class Conditions:
    """Compiles conditions and keeps the searches that can run out of time."""

    def __init__(self, faults: Faults, clock: Callable[[], float]) -> None:
        self._faults = faults
        self._clock = clock
        self.searches: list[Search] = []
        self._pieces_left = MAX_PIECES_OF_A_POLICY

    def entries(self, regex_config: object, owner: str) -> tuple[Entry, ...] | None:
        """The entries of a rule, of which one must hold. None: one is faulty, and with it the rule."""
        if regex_config is None or regex_config == []:
            return (ALWAYS,)
        if not is_list(regex_config):
            self._faults.add(f"{owner}: regex_config should be a list")
            return None
        made = [self.entry(entry, owner) for entry in regex_config]
        # An entry without conditions holds never, as in the published package.
        return None if None in made else tuple(entry for entry in made if entry)

    def entry(self, entry: object, owner: str) -> Entry | None:
        """The conditions of one entry, the most telling ones first."""
        conditions = entry.get("conditions") if isinstance(entry, Mapping) else None
        if not is_list(conditions):
            self._faults.add(f"{owner}: an entry of regex_config has no list of conditions")
            return None
        made = [self._condition(condition, owner) for condition in conditions]
        found = [condition for condition in made if condition is not None]
        return tuple(sorted(found, key=_lateness)) if len(found) == len(made) else None

    def _condition(self, condition: Any, owner: str) -> Condition | None:
        path, pattern = _path_and_pattern(condition)
        if path is None or pattern is None:
            self._faults.add(f"{owner}: a condition needs a path and a value")
            return None
        if not is_known(path):
            self._faults.add(f"{owner}: no call has a value at the path {path[:60]}, so nothing matches")
        try:
            search = Search(pattern, owner, self._clock)
        except BadPatternError as error:
            self._faults.add(f"{owner}: {error}")
            return None
        self._pieces_left -= search.pieces
        if self._pieces_left < 0:
            self._faults.add(f"{owner}: the patterns before it are all that is taken of one policy")
            return None
        if search.needs_time:
            self.searches.append(search)
            if not search.can_be_timed:
                self._faults.add_once(f"{why_untimed()}, so slow patterns are searched in short texts only")
        return Condition(intern(path), search.direct_characters, search.direct, search.timed)


def _path_and_pattern(condition: object) -> tuple[str | None, str | None]:
    if not isinstance(condition, Mapping):
        return None, None
    path = condition.get("path")
    return path if isinstance(path, str) else None, text_of(condition.get("value"))

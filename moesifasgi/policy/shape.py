"""How long a search for a pattern can take, told from its text.

A backtracking search costs at worst about

    (characters of the text) ** degree * factor

steps: each unbounded quantifier adds one to the degree, and so does a start that is not fixed; each choice (a
bounded quantifier, an alternation) multiplies the factor. A repeated group with a choice inside, and a back
reference, cost exponentially more: they are *explosive*. What is not understood counts as explosive too.
"""

from dataclasses import dataclass

from moesifasgi.policy.pattern import TOKEN

_UNBOUNDED = -1
_LETTERS_A_STEP = 100
"""A long pattern takes longer at each place of the text; this many characters of it count as one step."""
_REPEATED_A_STEP = 4
"""The same for letters like ``aaaa`` or ``abab``, which can nearly match at every place."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pattern's text says about the time that a search takes."""

    explosive: bool
    degree: int
    factor: int
    looks_ahead: bool
    """It may ask what comes later in the text, or where it ends: of a part of a text it could be wrong."""
    pieces: int = 1
    """How many there are when every repeat is written out as often as it has to match."""
    run: int = 0
    """The most letters, or what may be one, that stand in a row."""

    def steps(self, characters: int) -> float:
        """What a search in a text of this length takes at most."""
        return float(characters) ** self.degree * self.factor

    def characters(self, steps: int, most: int) -> int:
        """The longest text, up to ``most``, that is searched within so many steps; 0: none is sure to be."""
        if self.explosive or self.factor > steps:
            return 0
        if self.degree == 0:
            return most
        return min(most, int((steps / self.factor) ** (1 / self.degree)))


def shape_of(pattern: str) -> Shape:
    """The shape of a pattern that ``re`` accepts."""
    walk = _Walk()
    for token in TOKEN.finditer(pattern):
        walk.take(token.lastgroup or "atom", token.group())
    return walk.shape(len(pattern))


class _Group:
    """An open group: whether it holds a choice, how many alternatives, and how many pieces written out."""

    __slots__ = ("alternatives", "has_choice", "pieces")

    def __init__(self) -> None:
        self.alternatives = 1
        self.has_choice = False
        self.pieces = 0


class _Atoms:
    """What stands in a row: how long the longest is, and the longest that repeats itself."""

    __slots__ = ("_repeated", "_row", "count", "repeated", "run")

    def __init__(self) -> None:
        self.count = 0
        self.run = 0
        self.repeated = 0
        self._row: list[str] = []
        self._repeated = 0

    def add(self, text: str) -> None:
        self.count += 1
        self._repeated = self._repeated + 1 if text in self._row[-2:] else 0
        self._row.append(text)
        self.run = max(self.run, len(self._row))
        self.repeated = max(self.repeated, self._repeated)

    def interrupt(self) -> None:
        self._row = []


class _Walk:
    """One walk over the tokens of a pattern."""

    def __init__(self) -> None:
        self._open = [_Group()]
        self._explosive = False
        self._unbounded = 0
        self._choices = 1
        self._atoms = _Atoms()
        self._looks_ahead = False
        self._first: str | None = None
        self._multiline = False
        self._repeats_choice = False
        self._last_pieces = 0

    def take(self, kind: str, text: str) -> None:
        if self._first is None and kind not in ("flags", "comment"):
            self._first = text
        match kind:
            case "open" | "lookaround":
                self._open.append(_Group())
                self._looks_ahead |= kind == "lookaround"
            case "close":
                self._close()
            case "bar":
                self._open[-1].alternatives += 1
                self._atoms.interrupt()
            case "quantifier":
                self._quantify(text)
            case "strange":
                self._open.append(_Group())
                self._explosive = True
                self._atoms.interrupt()
            case "flags":
                self._explosive |= "x" in text
                self._multiline |= "m" in text
            case "atom":
                self._repeats_choice = False
                self._atoms.add(text)
                self._add(1)
                self._looks_ahead |= text in ("$", r"\Z", r"\b", r"\B")

    def shape(self, pattern_characters: int) -> Shape:
        self._choices *= self._open[0].alternatives
        fixed_start = self._first in ("^", r"\A") and self._open[0].alternatives == 1 and not self._multiline
        pieces = sum(group.pieces for group in self._open)
        repeats = max(1, pieces - self._atoms.count + 1)
        letters = pattern_characters // _LETTERS_A_STEP + self._atoms.repeated // _REPEATED_A_STEP
        return Shape(
            explosive=self._explosive,
            degree=self._unbounded + (not fixed_start),
            factor=self._choices * repeats * (1 + letters),
            looks_ahead=self._looks_ahead,
            pieces=pieces,
            run=self._atoms.run,
        )

    def _add(self, pieces: int) -> None:
        self._last_pieces = pieces
        self._open[-1].pieces += pieces

    def _close(self) -> None:
        group = self._open.pop() if len(self._open) > 1 else _Group()
        self._choices *= group.alternatives
        self._repeats_choice = group.has_choice or group.alternatives > 1
        self._open[-1].has_choice |= self._repeats_choice
        # One that is empty, or only looks, is something to repeat too.
        self._add(max(1, group.pieces))

    def _quantify(self, text: str) -> None:
        least, most = _range(text)
        if self._repeats_choice and most != 1:
            self._explosive = True
        if most == _UNBOUNDED:
            self._unbounded += 1
        else:
            self._choices *= max(1, most - least + 1)
        self._atoms.interrupt()
        self._add(self._last_pieces * max(0, least - 1))
        self._open[-1].has_choice |= least != most


def _range(quantifier: str) -> tuple[int, int]:
    match quantifier[0]:
        case "*":
            return 0, _UNBOUNDED
        case "+":
            return 1, _UNBOUNDED
        case "?":
            return 0, 1
    least, comma, most = quantifier[1 : quantifier.index("}")].partition(",")
    if not comma:
        return int(least), int(least)
    return int(least or 0), int(most) if most else _UNBOUNDED

"""Who makes a call: the three answers there are."""

from enum import Enum, auto
from typing import Final, Literal, TypeAlias


class _Unknown(Enum):
    UNKNOWN = auto()


Unknown: TypeAlias = Literal[_Unknown.UNKNOWN]
UNKNOWN: Final = _Unknown.UNKNOWN
"""There is no answer: the function failed or ran out of time. Not the same as None, the answer "nobody"."""

Identity: TypeAlias = str | Unknown | None
"""Identified by this text, unknown, or unidentified (None; the empty text counts as None)."""

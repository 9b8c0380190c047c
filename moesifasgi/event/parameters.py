"""Masked parameters in a URL, or in text with URLs in it, such as a header. Pure.

The value of a parameter that is named is masked alone, also within a URL that is itself a value. Where one is
named that this did not find (encoded time and again, or behind what only some servers take for a delimiter),
all of the value that it stands in is masked: a value is shown only if nothing within it is named.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

MASK = "***"
MAX_UNQUOTINGS = 5
"""What is still encoded after so many is masked wherever a mask is set: nobody writes that."""
_URL_LEVELS = 3
"""URLs as values of URLs' parameters whose shape stays: a login page's ``next=`` is the second level."""
_PARAMETER = re.compile(r"(?:(?<=[?&;#\s])|^)([^=?&;#\s]+)=([^&#\s]*)", re.ASCII)
"""A parameter in a URL, or in text with a URL in it. Starts at a delimiter only: linear time."""
_PIECE = re.compile(r"[^?&;#\s/,]+", re.ASCII)
_INNER_DELIMITER = re.compile("([;?])")


class Parameters:
    """Names of parameters, ready to be looked for."""

    __slots__ = ("_named",)

    def __init__(self, names: Iterable[str]) -> None:
        self._named = _pattern(names)

    def may_be_in(self, text: str) -> bool:
        """Whether there is anything to look for."""
        return self._named is not None and ("=" in text or "%" in text)

    def masked(self, text: str) -> str:
        """``text`` with MASK for the values of the parameters."""
        if not self.may_be_in(text):
            return text
        shown = self._shown(text, _URL_LEVELS)
        if "%" not in shown:
            return shown
        return _PIECE.sub(lambda piece: MASK if self._tells_encoded(piece[0]) else piece[0], shown)

    def _shown(self, text: str, levels: int) -> str:
        def masked(found: re.Match[str]) -> str:
            name, value = found.groups()
            if self._tells(f"{name}="):
                return f"{name}={MASK}"
            if "=" not in value and "%" not in value:
                return found[0]
            shown = self._value(value, levels)
            return f"{name}={MASK if self._tells(shown) else shown}"

        return _PARAMETER.sub(masked, text)

    def _value(self, value: str, levels: int) -> str:
        """A value with what is named in it masked, as far as its shape is understood."""
        if ";" in value or "?" in value:
            return self._delimited(value)
        if "%3" not in value or levels <= 1:
            return value
        inner = unquote(value)
        shown = self._shown(inner, levels - 1)
        return value if shown == inner else quote(shown, safe=MASK)

    def _delimited(self, value: str) -> str:
        """Some servers separate by ``;``, and a URL may stand there as it is.

        To others those characters are part of the value, so it is masked from the first named to its end.
        """
        parts = _INNER_DELIMITER.split(value)
        for index, part in enumerate(parts):
            name, equals, _ = part.partition("=")
            if equals and self._tells(f"{name}="):
                return f"{''.join(parts[:index])}{name}={MASK}"
        return value

    def _tells_encoded(self, piece: str) -> bool:
        return "%" in piece and self._tells(piece)

    def _tells(self, text: str) -> bool:
        """Whether ``text`` shows the value of a parameter that is named, however often it is encoded."""
        assert self._named is not None
        for _ in range(MAX_UNQUOTINGS):
            if self._named.search(text.lower()):
                return True
            plain = unquote(text) if "%" in text else text
            if plain == text:
                return False
            text = plain
        return True


def _pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """A named parameter with a value other than MASK; ``a.b`` is also ``a[b]``, and ``b`` is found in it."""
    # A header is read as Latin-1, so that a name in UTF-8 looks otherwise there.
    as_read = {form for name in names for form in (name, name.encode().decode("latin-1"))}
    alternatives = [_spelt(name.lower()) for name in sorted(as_read)]
    if not alternatives:
        return None
    behind = r"(?:\[[^\[\]=]{0,40}\]|\])*"
    value = r"=(?!\*\*\*(?:[&#;\s>\"]|$))"
    return re.compile(rf"(?<![\w\-])(?:{'|'.join(alternatives)}){behind}{value}", re.ASCII)


def _spelt(name: str) -> str:
    return re.escape(name).replace(r"\.", r"(?:\.|\]?\[)").replace(r"\ ", "[ +]")

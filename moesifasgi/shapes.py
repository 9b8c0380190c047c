"""What a setting's value has to look like: one Shape a kind of value, for worker and shipper alike. Pure.

A shape says how a message calls it, whether a value fits, what a fitting value becomes, and how it is read
from the text of an environment variable. What this file must not know: any key.
"""

import os
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)

MAX_SOCKET_PATH_BYTES = 107
"""Linux keeps 108 bytes for a socket's path, the closing zero included."""
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Shape(Generic[T]):
    """What a value has to look like."""

    expected: str
    """How a message calls it."""
    fits: Callable[[Any], bool]
    """May raise ValueError for no."""
    convert: Callable[[Any], T] = as_it_is
    """What a fitting value becomes."""
    read: Callable[[str], Any] | None = None
    """Text of the environment → what a dict would hold; ValueError if it cannot; None: not from there."""

    def parse(self, value: Any) -> T:
        """The value as settings hold it; ValueError if it does not fit."""
        if not self.fits(value):
            raise ValueError(f"not {self.expected}")
        return self.convert(value)


def integer(low: int, high: int) -> Shape[int]:
    expected = f"a whole number from {low:_} to {high:_}"
    return Shape(expected, lambda value: type(value) is int and low <= value <= high, int, int)


def number(low: float, high: float, unit: str = "seconds") -> Shape[float]:
    expected = f"{unit} from {low} to {high}"
    return Shape(expected, lambda value: type(value) in (int, float) and low <= value <= high, float, float)


def one_of(choices: type[Choice]) -> Shape[Choice]:
    names = [choice.value for choice in choices]
    return Shape(" or ".join(map(repr, names)), lambda value: value in names, choices, str)


def list_of(items: Shape[T]) -> Shape[tuple[T, ...]]:
    def fits(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and all(map(items.fits, value))

    return Shape(f"a list of {items.expected}", fits, lambda value: tuple(map(items.convert, value)), split)


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def is_word(value: Any) -> bool:
    return is_text(value) and value.isascii() and " " not in value


def is_url(value: Any) -> bool:
    if not is_text(value) or " " in value:
        return False
    parts = urlsplit(value)
    # A port that is no number makes .port raise ValueError.
    has_host = bool(parts.hostname) and parts.port != 0
    return has_host and parts.scheme in ("http", "https") and not parts.query and not parts.fragment


def is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and is_text(os.fspath(value))


def is_absolute_path(value: Any) -> bool:
    return is_path(value) and os.fspath(value).startswith("/")


def is_socket_path(value: Any) -> bool:
    return is_absolute_path(value) and len(os.fsencode(value)) <= MAX_SOCKET_PATH_BYTES


BOOLEAN: Shape[bool] = Shape(
    "True or False", lambda value: isinstance(value, bool), read=lambda text: BOOLEANS.get(text.lower())
)
APPLICATION_ID: Shape[str] = Shape("the Collector Application Id, without spaces", is_word, read=str)
TEXT: Shape[str] = Shape("a string without line breaks", is_text, read=str)
URL = Shape("an http or https URL with a host and no query", is_url, lambda url: str(url).rstrip("/"), str)
PATH = Shape("a path", is_path, os.fspath, str)
ABSOLUTE_PATH = Shape("an absolute path", is_absolute_path, os.fspath, str)
SOCKET_PATH = Shape(
    f"an absolute path of at most {MAX_SOCKET_PATH_BYTES} bytes", is_socket_path, os.fspath, str
)


class Fault(ValueError):
    """One value does not fit; the text is its line in SettingsError."""


def parsed(
    where: str,
    shape: Shape[T],
    given: Any,
    read: Callable[[Any], Any] = as_it_is,
    *,
    secret: bool = False,
) -> T:
    """What was given at ``where`` as settings hold it. Raises Fault, which shows no secret."""
    try:
        return shape.parse(read(given))
    except ValueError as error:
        raise Fault(f"{where}: expected {shape.expected}, got {_seen(given, secret)}") from error


def _seen(given: object, secret: bool) -> str:
    """What a message may show: no secret, and nothing that may hold a password (user:password@host)."""
    kind = type(given).__name__
    shown = reprlib.repr(given)
    # reprlib may have cut the @ out of a long string.
    hidden = secret or "@" in (given if isinstance(given, str) else shown)
    return f"a value of type {kind}" if hidden else f"{shown} ({kind})"


def nearest(key: str, known: Iterable[str]) -> str:
    """A hint at the key that may be meant; empty if none is like it."""
    # Loaded for a mistake only.
    from difflib import get_close_matches

    found = get_close_matches(key, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""

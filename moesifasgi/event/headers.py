"""Header fields as Moesif stores them: one flat map of text, and the few values that carry parameters.

Header bytes come from anyone. Nothing in here raises for their content, and no pattern takes more than
linear time on them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from moesifasgi.event.record import Headers

_MAX_VALUE_CHARACTERS = 1024
"""How much of a value is searched for parameters; RFC 7578 forms and charsets need far less."""
_PARAMETER = re.compile(r';\s*([\w.!#$&*+^`-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.ASCII)
_ESCAPED = re.compile(r"\\(.)")


def flat_headers(headers: Headers) -> dict[str, str]:
    """Names in lower case, values as latin-1 text, repeated ones joined by ``", "`` (cookies by ``"; "``).

    Raises ValueError where the fields are not pairs of bytes.
    """
    try:
        flat = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in headers}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError("header fields are pairs of bytes") from error
    return flat if len(flat) == len(headers) else _joined(headers)


def _joined(headers: Headers) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower().decode("latin-1"), []).append(value.decode("latin-1"))
    return {name: ("; " if name == "cookie" else ", ").join(found) for name, found in values.items()}


def media_type(value: str) -> tuple[str, Mapping[str, str]]:
    """``text/plain; charset=UTF-8`` as its type in lower case and its parameters; a name's first wins."""
    return _media_type(value[:_MAX_VALUE_CHARACTERS])


@lru_cache(maxsize=256)
def _media_type(value: str) -> tuple[str, Mapping[str, str]]:
    found: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(value):
        found.setdefault(name.lower(), token or _ESCAPED.sub(r"\1", quoted))
    return value.partition(";")[0].strip().lower(), found

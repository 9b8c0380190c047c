"""Header fields as Moesif stores them: one flat map of text, and the few values that carry parameters.

Header bytes come from anyone. Nothing in here raises for their content, and no pattern takes more than
linear time on them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice

from moesifasgi.event.record import Headers

_MAX_VALUE_CHARACTERS = 1024
"""How much of a value is searched for parameters; RFC 7578 forms and charsets need far less."""
_MAX_PARAMETERS = 10
"""What is written has two or three."""
_PARAMETER = re.compile(
    r'\s*+(?:([^\s;="]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;"]*+)))?\s*+(?:;|\Z)|([^;]*+(?:;|\Z))',
    re.ASCII | re.DOTALL,
)
"""To the next semicolon: a parameter, nothing, or (last group) neither. Possessive, so that it is linear."""
_ESCAPED = re.compile(r'\\(["\\])')
"""Of the RFCs' quoted pairs only those that are needed: to browsers any other backslash stands for itself."""


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
    declared, _, rest = value.partition(";")
    return declared.strip().lower(), parameters(rest)[0]


def parameters(text: str) -> tuple[dict[str, str], bool]:
    """``a=1; B="2"`` by name in lower case, a name's first; and whether ``text`` was nothing but that.

    What is no parameter is passed over, up to the next semicolon.
    """
    found: dict[str, str] = {}
    whole, end = True, 0
    for parameter in islice(_PARAMETER.finditer(text[:_MAX_VALUE_CHARACTERS]), _MAX_PARAMETERS):
        name, quoted, token, other = parameter.groups()
        end = parameter.end()
        if other is not None:
            whole = False
        elif name is not None:
            value = token.rstrip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
            found.setdefault(name.lower(), value)
    return found, whole and end == len(text)

"""Who made the request, by its authorization header. No signature is checked: that is the application's job.

An identity found here is a label for analytics, as good as the header that anyone may write.
"""

import json
from binascii import a2b_base64
from collections.abc import Iterable, Mapping
from typing import Any

from moesifasgi.event.jsonable import well_formed

MAX_USER_ID_CHARACTERS = 1000
"""OpenID Connect allows a subject 255. A longer one is there to fill the event, and names nobody."""


def user_id_from(headers: Mapping[str, str], names: Iterable[str], field: str) -> str | None:
    """The user's id by the first of the headers ``names`` that has one; None if none has.

    ``headers`` are flat; they and ``names`` are lower case. ``field`` is the dotted path of the id in a JWT's
    payload, found whatever its case.

        Bearer <JWT>, <JWT>, <scheme> <JWT>   the field of the payload
        Basic <credentials>                   the user name
        anything else                         nobody: it may be an API key
    """
    for name in names:
        value = headers.get(name)
        if value:
            # Repeated fields arrive joined; neither tokens nor base64 have a comma.
            found = _user_id(value.partition(",")[0].strip(), field)
            if found and len(found) <= MAX_USER_ID_CHARACTERS:
                return well_formed(found)
    return None


def _user_id(value: str, field: str) -> str | None:
    scheme, _, credentials = value.partition(" ")
    match scheme.lower():
        case "basic":
            return _user_name(credentials)
        case "bearer":
            return _claim(_payload(credentials), field)
    return _claim(_payload(credentials.strip() or scheme), field)


def _user_name(credentials: str) -> str | None:
    raw = _unbase64(credentials)
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.partition(":")[0].strip()


def _payload(token: str) -> dict[str, Any] | None:
    """The claims of a JWT, or of a bare payload, which the published package reads too."""
    parts = token.strip().split(".", 2)
    raw = _unbase64(parts[1] if len(parts) > 1 else parts[0])
    if raw is None:
        return None
    try:
        claims = _CLAIMS.decode(raw.decode())
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _unbase64(text: str) -> bytes | None:
    """Base64 of either alphabet, padded or not."""
    text = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        return None


def _claim(claims: object, path: str) -> str | None:
    """The value at a dotted path, if it is a text or a number. A name that holds dots itself comes first."""
    if not isinstance(claims, dict):
        return None
    value = claims.get(path)
    if isinstance(value, str):
        return value
    folded = {name.lower(): value for name, value in claims.items()}
    value = folded.get(path.lower())
    if value is None:
        first, dot, rest = path.partition(".")
        return _claim(folded.get(first.lower()), rest) if dot else None
    return value if isinstance(value, str) else None


_CLAIMS = json.JSONDecoder(parse_int=str, parse_float=str)
"""Numbers stay the text that they are: an id is compared, never reckoned with."""

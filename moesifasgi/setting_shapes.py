"""What values of the worker's settings look like, beside the shapes that a shipper's have too. Pure."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from moesifasgi.shapes import Shape, is_text, list_of, split

Hook = Callable[..., Any]
"""A function of the user's; it may be asynchronous."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A header's or method's name; RFC 9110, section 5.6.2."""
_MEDIA_TYPE = re.compile(r"[^/\s,;]+/[^/\s,;]+")
_NO_MASK = frozenset("$*;[]")
"""What a mask's name cannot hold: it would never match."""


def _is_dotted(value: Any) -> bool:
    return is_text(value) and all(value.split("."))


def _is_body_mask(value: Any) -> bool:
    """A name or path that can match; brackets and wildcards are no part of one, nor is an item's number."""
    if not isinstance(value, str) or not _is_dotted(value.strip()) or not _NO_MASK.isdisjoint(value):
        return False
    parts = value.strip().lower().split(".")
    within = parts[0] in ("request", "response") and parts[1:2] == ["body"]
    is_prefixed = within or (parts[0] == "body" and len(parts) > 1)
    return not is_prefixed and not any(part.isdecimal() or part != part.strip() for part in parts)


def _is_query_mask(value: Any) -> bool:
    if not isinstance(value, str) or not is_text(value.strip()):
        return False
    # A parameter's own name may hold brackets.
    name = value.strip()
    return (_NO_MASK - set("[]")).isdisjoint(name) and name.strip(".") == name


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _is_media_type(value: Any) -> bool:
    return isinstance(value, str) and _MEDIA_TYPE.fullmatch(value) is not None


def _is_network(value: Any) -> bool:
    return isinstance(value, str) and bool(_network(value))


def _network(value: str) -> str:
    return str(ip_network(value, strict=False))


def _listed(value: Any) -> Any:
    return split(value) if isinstance(value, str) else value


FUNCTION: Shape[Hook] = Shape("a function", callable)
HANDLE: Shape[Any] = Shape("what start_shipper returned", lambda value: True)
DOTTED_PATH: Shape[str] = Shape("a name or dotted path", _is_dotted, read=str)
BODY_MASKS: Shape[str] = Shape(
    "names or dotted paths such as 'user.password', which start inside the body and look through lists,"
    " without '$', '*', ';', brackets or numbers",
    _is_body_mask,
    str.strip,
)
PARAMETERS: Shape[str] = Shape(
    "parameter names, without '$', '*', ';' or a dot at an end", _is_query_mask, str.strip
)
METHODS = Shape("HTTP methods", _is_token, str.upper)
MEDIA_TYPES = Shape("media types such as 'text/*'", _is_media_type, str.lower)
URL_PATHS: Shape[str] = Shape(
    "paths that start with '/' or '*'", lambda path: is_text(path) and path[0] in "/*"
)
NETWORKS = Shape("IP networks such as '10.0.0.0/8'", _is_network, _network)
HEADER_NAMES = Shape("header names", _is_token, str.lower)
HEADER_LIST = list_of(HEADER_NAMES)
HEADER_ORDER = Shape(
    # The published package takes a comma-separated string here, so the dict may hold one too.
    "header names, as a list or comma-separated",
    lambda value: HEADER_LIST.fits(_listed(value)) and bool(_listed(value)),
    lambda value: HEADER_LIST.convert(_listed(value)),
    str,
)

"""Whether a Record's fields are what they are declared to be: the check of what came over the wire.

A Record from our own worker always passes. One that does not was damaged or made up, and costs only itself.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from types import NoneType

from moesifasgi.event.record import Ending, Record

DIRECTIONS = frozenset({"Incoming", "Outgoing", "Internal"})
"""What the collector's schema knows."""
_TEXT = (str,)
_OPTIONAL_TEXT = (str, NoneType)
_SEQUENCE = (list, tuple)
_OPTIONAL_SEQUENCE = (list, tuple, NoneType)
_OPTIONAL_BYTES = (bytes, NoneType)
_SECONDS = (float, int)
_ALLOWED: dict[str, tuple[type, ...]] = {
    "transaction_id": _TEXT,
    "started_at": _SECONDS,
    "ended_at": _SECONDS,
    "method": _TEXT,
    "scheme": _TEXT,
    "http_version": _TEXT,
    "path": _TEXT,
    "raw_path": _OPTIONAL_BYTES,
    "root_path": _TEXT,
    "query_string": (bytes,),
    "server": _OPTIONAL_SEQUENCE,
    "client": _OPTIONAL_SEQUENCE,
    "request_headers": _SEQUENCE,
    "request_body": _OPTIONAL_BYTES,
    "request_body_size": (int,),
    "request_complete": (bool,),
    "status": (int, NoneType),
    "response_headers": _SEQUENCE,
    "response_body": _OPTIONAL_BYTES,
    "response_body_size": (int,),
    "ending": (int,),
    "error": _OPTIONAL_TEXT,
    "user_id": _OPTIONAL_TEXT,
    "company_id": _OPTIONAL_TEXT,
    "session_token": _OPTIONAL_TEXT,
    "metadata": (dict, NoneType),
    "direction": _TEXT,
    "weight": (int,),
    "blocked_by": _OPTIONAL_TEXT,
    "settings": _OPTIONAL_SEQUENCE,
    "response_unseen": (bool,),
    "request_decoded": (bool,),
    "response_decoded": (bool,),
}
_ENDINGS = frozenset(Ending)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def check_fields(record: Record) -> None:
    """Raises ValueError with the first field that cannot be. ``flat_headers`` checks the header fields."""
    _check_types(tuple(map(type, record)))
    _check_address("client", record.client)
    _check_address("server", record.server)
    _check_values(record)


@lru_cache(maxsize=256)
def _check_types(types: tuple[type, ...]) -> None:
    """Cached, because nearly all records have one of a few combinations of types."""
    for (name, allowed), found in zip(_ALLOWED.items(), types, strict=True):
        # A bool is an int to issubclass, but not here.
        if found not in allowed and (found is bool or not issubclass(found, allowed)):
            raise ValueError(f"a record's {name} cannot be a {found.__name__}")


def _check_address(name: str, address: Sequence[object] | None) -> None:
    if address is None:
        return
    # Granian writes the port as text.
    if (
        len(address) != 2
        or not isinstance(address[0], str)
        or not isinstance(address[1], (int, str, NoneType))
    ):
        raise ValueError(f"a record's {name} is a host and a port")


def _check_values(record: Record) -> None:
    if not _UUID.fullmatch(record.transaction_id):
        raise ValueError("a record's transaction_id is a UUID of 36 characters")
    if record.direction not in DIRECTIONS:
        raise ValueError("a record's direction is Incoming, Outgoing or Internal")
    if record.weight < 1:
        raise ValueError(f"a record's weight is at least 1, not {record.weight}")
    if record.ending not in _ENDINGS:
        raise ValueError(f"a record's ending cannot be {record.ending}")
    if record.status is None and record.ending == Ending.COMPLETE:
        raise ValueError("a complete record has a status")

"""What one upload brought, as values between the contract and the store. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from moesifasgi.inspector.schema import moment_of

MAX_EVENT_BYTES = 1_000_000
"""The collector's limit of one event; it cuts the bodies of a longer one."""
MAX_AGE_S = 30 * 86_400.0
"""The collector's limit of an event's age."""
IDENTITY_BYTES = 16

_ENTITY_IDS = {"users": "user_id", "companies": "company_id", "subscriptions": "subscription_id"}


class Arrival(NamedTuple):
    """One item that the schema accepts."""

    identity: bytes | None
    """What it is deduplicated on: the transaction_id's 16 bytes, or a digest of the entity's id."""
    raw: bytes
    """The item as JSON."""
    late: bool = False
    status: int | None = None
    direction: str | None = None

    @property
    def oversized(self) -> bool:
        return len(self.raw) > MAX_EVENT_BYTES


class Upload(NamedTuple):
    """All that one request brought. Its items are ``arrivals``, or were refused or invalid."""

    application_id: str
    stream: str
    at: float
    """Wall clock of its arrival, seconds since the epoch."""
    wire_bytes: int
    body_bytes: int
    """Before compression."""
    arrivals: tuple[Arrival, ...] = ()
    invalid: int = 0
    refused: int = 0
    """Good items that were not stored, because others of their batch were invalid."""

    @property
    def items(self) -> int:
        return len(self.arrivals) + self.invalid + self.refused


def arrival(stream: str, item: Mapping[str, Any], raw: bytes, now: float) -> Arrival:
    """An item that the schema accepted, with what the store wants to know of it."""
    if stream in _ENTITY_IDS:
        return Arrival(_digest(item[_ENTITY_IDS[stream]]), raw)
    moment = moment_of(item)
    transaction_id = item.get("transaction_id")
    return Arrival(
        identity=identity_of(transaction_id) if transaction_id else None,
        raw=raw,
        late=moment is not None and moment < now - MAX_AGE_S,
        status=(item.get("response") or {}).get("status"),
        direction=item.get("direction"),
    )


def identity_of(transaction_id: str) -> bytes:
    """A UUID's bytes. ValueError where it is none."""
    identity = bytes.fromhex(transaction_id.replace("-", ""))
    if len(identity) != IDENTITY_BYTES:
        raise ValueError("expected a UUID")
    return identity


def transaction_id_of(identity: bytes) -> str:
    """The UUID as text, lower case."""
    digits = identity.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _digest(identifier: str) -> bytes:
    return hashlib.blake2b(identifier.encode(), digest_size=IDENTITY_BYTES).digest()

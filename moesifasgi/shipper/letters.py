"""Dead letters as people see them: facts, ids, and what is inside. Pure.

An id is the beginning of the session's and the sequence, as in ``3f9c2a1b-17``: short enough to type. Where
two letters have the same one, a longer beginning tells them apart.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from moesifasgi.shipper.payload import Unserialisable, encode_item
from moesifasgi.shipper.spool import KeptDeadLetter, LetterKey
from moesifasgi.wire.application import Application

MAX_REASON_CHARS = 500
_SHOWN_CHARS = 8
"""Of the session, in an id."""
_ID = re.compile(r"([0-9a-f]{4,32})-([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Facts:
    """All of a dead letter but what is in it."""

    number: int
    session: bytes
    sequence: int
    application: str
    """By its last four characters."""
    stream: str
    kind: int
    code: str
    reason: str
    refused_at: float
    """Seconds since the epoch."""
    size: int
    """Bytes that it has, as the worker packed them."""

    @property
    def key(self) -> LetterKey:
        return self.session, self.sequence

    @property
    def id(self) -> str:
        return f"{self.session.hex()[:_SHOWN_CHARS]}-{self.sequence}"

    @property
    def refused_at_text(self) -> str:
        try:
            return datetime.fromtimestamp(self.refused_at, UTC).isoformat(timespec="seconds")
        except (ValueError, OverflowError, OSError):
            return "at an unknown time"  # No checksum covers it.

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """TypeError where it is of another version."""
        return cls(**wire)

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "id": self.id,
            "session": self.session.hex(),
            "sequence": self.sequence,
            "application": self.application,
            "stream": self.stream,
            "code": self.code,
            "reason": self.reason,
            "refused_at": self.refused_at_text,
            "bytes": self.size,
        }


def facts_of(kept: KeptDeadLetter) -> Facts:
    letter = kept.letter
    return Facts(
        kept.number,
        letter.session,
        letter.sequence,
        Application(kept.lane.application_id).label,
        kept.lane.stream,
        letter.kind,
        letter.code,
        letter.reason[:MAX_REASON_CHARS],
        kept.refused_at,
        len(letter.payload),
    )


def meant(ids: Iterable[str], letters: Iterable[Facts]) -> list[Facts]:
    """The letters with these ids, each once. ValueError names the id that is none, or not of one letter."""
    by_sequence: dict[int, list[Facts]] = {}
    for letter in letters:
        by_sequence.setdefault(letter.sequence, []).append(letter)
    found = {}
    for given in ids:
        if (match := _ID.fullmatch(given.lower())) is None:
            raise ValueError(f"expected an id as 'list' shows it, such as 3f9c2a1b-17, got {given!r}")
        beginning, sequence = match[1], int(match[2])
        same_sequence = by_sequence.get(sequence, [])
        candidates = [each for each in same_sequence if each.session.hex().startswith(beginning)]
        if not candidates:
            raise ValueError(f"there is no dead letter {given}")
        if len(candidates) > 1:
            longer = " or ".join(f"{each.session.hex()}-{sequence}" for each in candidates)
            raise ValueError(f"expected one dead letter, {given} is {longer}")
        found[candidates[0].key] = candidates[0]
    return list(found.values())


def content_of(kind: int, payload: bytes) -> dict[str, Any]:
    """What is inside: as it would be uploaded, or as it is where it cannot be."""
    try:
        return {"content": orjson.loads(encode_item(kind, payload))}
    except Unserialisable as error:
        return {"undecodable": error.reason, "payload_base64": base64.b64encode(payload).decode("ascii")}

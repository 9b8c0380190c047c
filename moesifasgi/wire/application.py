"""What the shipper must know to deliver one application's events; travels in HELLO."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any, Self

DEFAULT_BASE_URI = "https://api.moesif.net"


@dataclass(frozen=True, slots=True)
class Application:
    """One Moesif application as its middleware was configured. ``application_id`` is a secret: no repr."""

    application_id: str
    base_uri: str = DEFAULT_BASE_URI
    """May carry a path (Secure Proxy); ``/v1/...`` is appended, a trailing slash is tolerated."""
    batch_size: int | None = None
    """Most events in one upload; None: 25, growing to 200 while there is a backlog."""
    batch_timeout_s: float = 1.0
    """Longest time an event waits for its batch to fill."""
    concurrent_uploads: int = 4
    user_agent_suffix: str | None = None
    http_proxy: str | None = None
    ca_bundle: str | None = None

    def __repr__(self) -> str:
        return f"Application(…{self.application_id[-4:]}, {self.base_uri})"

    @property
    def label(self) -> str:
        """What may be shown of the id, in logs and status: its last four characters."""
        return f"…{self.application_id[-4:]}"

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Rebuild from HELLO. Unknown keys (a newer worker's) are ignored; ValueError where one is wrong."""
        if not isinstance(wire, Mapping):
            raise ValueError(f"an application is a map, not a {type(wire).__name__}")
        known = {f.name: wire[f.name] for f in fields(cls) if f.name in wire}
        for name, value in known.items():
            _check(name, value)
        if not known.get("application_id"):
            raise ValueError("an application needs an application_id")
        return cls(**known)


def _check(name: str, value: Any) -> None:
    if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
        raise ValueError(f"application setting {name} cannot be a {type(value).__name__}")
    least, most = _RANGES.get(name, (-inf, inf))
    if isinstance(value, (int, float)) and not least <= value <= most:
        raise ValueError(f"application setting {name} cannot be {value}")


_RANGES: dict[str, tuple[float, float]] = {
    "batch_size": (1, 1_000_000),
    "batch_timeout_s": (0, 86_400),
    "concurrent_uploads": (1, 64),
}
"""What delivery can work with; wider than what a worker's own settings allow."""
_NUMBER, _TEXT, _OPTIONAL_TEXT = (int, float), (str,), (str, type(None))
_TYPES: dict[str, tuple[type, ...]] = {
    "application_id": _TEXT,
    "base_uri": _TEXT,
    "batch_size": (int, type(None)),
    "batch_timeout_s": _NUMBER,
    "concurrent_uploads": (int,),
    "user_agent_suffix": _OPTIONAL_TEXT,
    "http_proxy": _OPTIONAL_TEXT,
    "ca_bundle": _OPTIONAL_TEXT,
}

"""What one request to the collector came to: values, so that every caller must say what it does with each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """The collector has the batch: any 2xx."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Nobody knows whether the collector has it, or it asked for patience. Sending again is safe."""

    after_s: float | None
    """Seconds that the collector asked to wait (0 to 3,600); None: it named no time."""
    reason: str
    status: int | None = None
    """None: there was no answer."""
    reached: bool = True
    """Somebody was connected to; else the batch has no part in it."""
    too_slow: bool = False
    """It was cut off while it was still making its way: a smaller one might have been in time."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The collector will not take this content, however often it is sent."""

    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The collector, or a proxy before it, will not take a body of this size (413)."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The collector takes nothing from this application for now: wrong id, no subscription, wrong address."""

    status: int
    reason: str


Outcome = Delivered | RetryLater | Rejected | TooLarge | Unauthorized

"""What an answer of the collector means, and how long to wait after a bad one. Pure: no IO, clock or chance.

The classes follow the documented status codes of the collector (400 to 410, 429, 5xx) and the general rule
that an unknown 4xx speaks of the content. Sending again is always safe, because the collector deduplicates.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from moesifasgi.shipper.outcome import Delivered, Outcome, Rejected, RetryLater, TooLarge, Unauthorized

MAX_RETRY_AFTER_S = 3600.0
"""Longer requests for patience are taken for mistakes."""
_RETRIED = frozenset({408, 425, 429})
_PARKING = frozenset({401, 402, 403, 404, 407, 410})
_MAX_EXPONENT = 30
_INTEGER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounds of the waiting time between failures, in seconds."""

    base_s: float = 1.0
    cap_s: float = 300.0
    floor_s: float = 1.0
    """Never less, whatever chance says: at most one request a second while failing."""


DEFAULT_BACKOFF = Backoff()


def backoff_s(attempt: int, random01: float, backoff: Backoff = DEFAULT_BACKOFF) -> float:
    """Seconds to wait after the ``attempt``-th failure in a row (from 1): exponential, with full jitter."""
    ceiling = min(backoff.cap_s, backoff.base_s * 2.0 ** min(attempt, _MAX_EXPONENT))
    return max(backoff.floor_s, random01 * ceiling)


def classify(status: int, headers: Mapping[str, str], now: float) -> Outcome:
    """What an answer means. ``now`` is the wall clock in seconds, for a Retry-After that names a date."""
    if 200 <= status < 300:
        return Delivered()
    if status in _PARKING:
        return Unauthorized(status, _phrase(status))
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge()
    if 400 <= status < 500 and status not in _RETRIED:
        return Rejected(_phrase(status), status)
    return RetryLater(retry_after_s(headers.get("Retry-After"), now), _phrase(status), status)


def classify_error(error: Exception, *, reached: bool = True, too_slow: bool = False) -> RetryLater:
    """A request without an answer: the collector may or may not have the batch."""
    return RetryLater(None, str(error) or type(error).__name__, reached=reached, too_slow=too_slow)


def retry_after_s(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header, 0 to 3,600; None where there is none or it says nothing."""
    if value is None:
        return None
    # float, not int: it takes thousands of digits, as infinity.
    seconds = float(value) if _INTEGER.fullmatch(value.strip()) else _seconds_until(value, now)
    return None if seconds is None else min(MAX_RETRY_AFTER_S, max(0.0, seconds))


def _seconds_until(date: str, now: float) -> float | None:
    try:
        named = parsedate_to_datetime(date)
        # Two of HTTP's three forms of a date name no zone; all of them mean UTC.
        return (named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

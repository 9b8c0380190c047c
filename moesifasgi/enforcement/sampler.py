"""What of an application's exchanges is recorded: exclusions, SAMPLE_RATE, and the dashboard's rates.

Decided before anything is captured where that is possible. A rate that depends on the response's status, the
body, or an answer of IDENTIFY_USER or IDENTIFY_COMPANY is asked for at the end; what the settings leave out
is out before. An exchange that was kept by two rates weighs what their product says.
"""

import random
from collections.abc import Callable
from fnmatch import fnmatchcase

from moesifasgi.enforcement.call import Call
from moesifasgi.event.record import Record
from moesifasgi.exchange import Scope
from moesifasgi.policy.sampling import Sampling, weight_of
from moesifasgi.settings import Settings


class Sampler:
    """For one middleware. Percentages throughout; ``draw`` gives numbers from 0 up to 1."""

    def __init__(self, settings: Settings, draw: Callable[[], float] = random.random) -> None:
        self._event_settings = settings.event_settings()
        self._asks_user = settings.hooks.identify_user is not None
        self._asks_company = settings.hooks.identify_company is not None
        self._methods = settings.capture.exclude_methods
        self._paths = settings.capture.exclude_paths
        self.own_rate = settings.capture.sample_rate
        """SAMPLE_RATE."""
        self._draw = draw
        self.takes_all = not (self._methods or self._paths or self.own_rate < 100)
        """Whether the settings leave nothing out."""

    def excludes(self, scope: Scope) -> bool:
        """Whether a setting names this request as one that is not recorded."""
        path = scope.get("path", "")
        return scope.get("method", "") in self._methods or any(
            fnmatchcase(path, pattern) for pattern in self._paths
        )

    def asks_later(self, sampling: Sampling) -> bool:
        """Whether something that the dashboard's rates look at is known at the end only."""
        return not sampling.everything and (
            sampling.by_status
            or sampling.by_body
            or (sampling.by_user and self._asks_user)
            or (sampling.by_company and self._asks_company)
        )

    def rate_before(self, sampling: Sampling | None, call: Call) -> float:
        """The rate by what is known before the application runs; without ``sampling`` the settings alone."""
        if sampling is None or sampling.everything:
            return self.own_rate
        user_id = call.caller.user() if sampling.by_user else None
        return self.own_rate * sampling.rate(call.facts, user_id, None) / 100

    def rate_after(self, sampling: Sampling, record: Record) -> float:
        """The dashboard's rate for what has ended."""
        call = Call.of_record(record, self._event_settings)
        user_id = call.caller.user(record.user_id) if sampling.by_user else None
        return sampling.rate(call.facts, user_id, record.company_id)

    def keeps(self, rate: float) -> bool:
        """Toss for it."""
        return rate >= 100 or self._draw() * 100 < rate

    def weight(self, rate: float) -> int:
        """How many exchanges one stands for that was kept at this rate."""
        return weight_of(rate, self._draw)

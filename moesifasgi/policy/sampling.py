"""Sampling: which part of the calls is kept, and how many calls one kept event stands for."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from moesifasgi.policy.conditions import Conditions, Entry, first_match, row
from moesifasgi.policy.facts import Facts, is_of_body
from moesifasgi.policy.faults import Faults
from moesifasgi.policy.identity import UNKNOWN, Identity
from moesifasgi.policy.text import is_list, text_keys, text_of

MAX_ENTRIES: Final = 1_000
"""Of regex_config."""


def weight_of(rate: float, random01: Callable[[], float]) -> int:
    """The weight of an event kept at ``rate`` percent: 100 / rate, rounded up or down at random.

    The collector wants a whole number; rounding down always, as other libraries do, counts 10 % too few at a
    rate of 30. Rounding by chance makes the expectation right for any rate.
    """
    if rate >= 100 or rate <= 0:
        return 1
    whole, rest = divmod(100.0, rate)
    return int(whole) + (random01() < rest / rate)


class Sampling:
    """The rates of an application, in percent.

    The documented rule: the user's rate, else the company's; of that and the rate of the first pattern that
    matches, the lower one; else the global rate. ``first_match`` is the order of the published package: the
    first pattern, else the user, else the company, else the global rate.

    ``by_user``, ``by_company``, ``by_status``, ``by_body`` say what the rate depends on. What is not known
    (an UNKNOWN identity, an UNSEEN fact) counts as if there were no such rate, or no match.
    """

    def __init__(
        self, config: Mapping[str, Any], *, first_match: bool, conditions: Conditions, faults: Faults
    ) -> None:
        self._first_match = first_match
        self._global = _global_rate(config.get("sample_rate"), faults)
        self._users = _rates(config.get("user_sample_rate"), "user_sample_rate", faults)
        self._companies = _rates(config.get("company_sample_rate"), "company_sample_rate", faults)
        entries = _entries(config.get("regex_config"), conditions, faults)
        self._regex = [row(entry, rate) for entry, rate in entries]
        rates = [
            self._global,
            *self._users.values(),
            *self._companies.values(),
            *(rate for _, rate in entries),
        ]
        paths = [condition.path for entry, _ in entries for condition in entry]
        self.everything = min(rates) >= 100
        self.by_user = bool(self._users)
        self.by_company = bool(self._companies)
        self.by_status = "response.status" in paths
        self.by_body = any(map(is_of_body, paths))

    def rate(self, facts: Facts, user_id: Identity, company_id: Identity) -> float:
        """The rate for this call, 0 to 100."""
        of_entity = _rate_for(self._users, user_id)
        if of_entity is None:
            of_entity = _rate_for(self._companies, company_id)
        by_regex = first_match(self._regex, facts) if self._regex else None
        if by_regex is None:
            return self._global if of_entity is None else of_entity
        if of_entity is None or self._first_match:
            return by_regex
        return min(of_entity, by_regex)


def _rate_for(rates: Mapping[str, float], identity: Identity) -> float | None:
    return rates.get(identity) if rates and identity and identity is not UNKNOWN else None


def _global_rate(value: object, faults: Faults) -> float:
    rate = _percent(value)
    if rate is None and value is not None:
        faults.add("config: sample_rate should be a number from 0 to 100; 100 is used")
    return 100.0 if rate is None else rate


def _rates(value: object, key: str, faults: Faults) -> dict[str, float]:
    if value is not None and not isinstance(value, Mapping):
        faults.add(f"config: {key} should be an object")
    rates = {identity: _percent(rate) for identity, rate in text_keys(value).items()}
    made = {identity: rate for identity, rate in rates.items() if rate is not None}
    if len(made) < len(rates):
        faults.add(f"config: {len(rates) - len(made)} of the rates in {key} are no numbers from 0 to 100")
    return made


def _entries(value: object, conditions: Conditions, faults: Faults) -> list[tuple[Entry, float]]:
    if value is None:
        return []
    if not is_list(value):
        faults.add("config: regex_config should be a list")
        return []
    if len(value) > MAX_ENTRIES:
        faults.add(f"config: only the first {MAX_ENTRIES} entries of regex_config are used")
    made = []
    for number, entry in enumerate(value[:MAX_ENTRIES]):
        owner = f"sampling entry number {number}"
        found = conditions.entry(entry, owner)
        rate = _percent(entry.get("sample_rate")) if isinstance(entry, Mapping) else None
        if found and rate is None:
            faults.add(f"{owner}: its sample_rate should be a number from 0 to 100")
        if found and rate is not None:
            made.append((found, rate))
    return made


def _percent(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        rate = float(text_of(value) or "nothing")
    except ValueError:
        return None
    return min(100.0, max(0.0, rate)) if math.isfinite(rate) else None

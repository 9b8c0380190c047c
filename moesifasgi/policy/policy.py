"""What the dashboard decided for one application, compiled once and then only read.

A document is the collector's own answers, ``{"config": {...}, "rules": [...]}``. Any key of them may be
missing, null or of a wrong type: what cannot be used is left out alone, with a line in ``faults``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moesifasgi.policy.conditions import Conditions
from moesifasgi.policy.faults import Faults
from moesifasgi.policy.governance import Governance
from moesifasgi.policy.rule import Cohorts, Rule, compile_rule
from moesifasgi.policy.sampling import Sampling
from moesifasgi.policy.search import Search
from moesifasgi.policy.text import is_list

MAX_RULES: Final = 5_000
_MAX_PARKED_LINES = 20


class Policy:
    """``sampling`` and ``governance`` decide about a call; ``faults`` are for a person to read."""

    def __init__(
        self,
        sampling: Sampling,
        governance: Governance,
        faults: tuple[str, ...] = (),
        searches: Sequence[Search] = (),
    ) -> None:
        self.sampling = sampling
        self.governance = governance
        self.faults = faults
        self._searches = searches

    @classmethod
    def compile(
        cls, document: Mapping[str, Any], *, first_match: bool = False, clock: Callable[[], float]
    ) -> "Policy":
        """The policy of a document; ``clock`` gives seconds, for searches that need a time limit."""
        faults = Faults()
        conditions = Conditions(faults, clock)
        config = _config(document, faults)
        rules = _rules(document, conditions, faults)
        sampling = Sampling(config, first_match=first_match, conditions=conditions, faults=faults)
        governance = Governance(
            rules,
            _cohorts("company", rules, config, faults),
            _cohorts("user", rules, config, faults),
        )
        return cls(sampling, governance, faults.lines(), conditions.searches)

    def parked(self) -> tuple[str, ...]:
        """A line for each pattern that ran out of its time and is not searched in long texts for now."""
        lines = filter(None, (search.parked() for search in self._searches))
        return tuple(dict.fromkeys(lines))[:_MAX_PARKED_LINES]


def _config(document: object, faults: Faults) -> Mapping[str, Any]:
    config = document.get("config") if isinstance(document, Mapping) else None
    if config is not None and not isinstance(config, Mapping):
        faults.add("config should be an object")
    return config if isinstance(config, Mapping) else {}


def _rules(document: object, conditions: Conditions, faults: Faults) -> list[Rule]:
    rules = document.get("rules") if isinstance(document, Mapping) else None
    if rules is None:
        return []
    if not is_list(rules):
        faults.add("rules should be a list")
        return []
    if len(rules) > MAX_RULES:
        faults.add(f"only the first {MAX_RULES} of {len(rules)} rules are used")
    made = (compile_rule(rule, number, conditions, faults) for number, rule in enumerate(rules[:MAX_RULES]))
    return [rule for rule in made if rule is not None]


def _cohorts(kind: str, rules: Sequence[Rule], config: Mapping[str, Any], faults: Faults) -> Cohorts:
    key = f"{kind}_rules"
    return Cohorts([rule for rule in rules if rule.kind == kind], config.get(key), key, faults)


NO_POLICY: Final = Policy.compile({}, clock=lambda: 0.0)
"""Keep everything, block nothing: what is in force until the dashboard's word has come."""

"""Governance: which rules apply to a call, and what they make of its response.

Regex rules come first, then those about the company, then those about the user; each overrides what was said
before, header by header, and the last one that blocks decides the status and the body.
"""

from collections.abc import Iterable

from moesifasgi.policy.conditions import first_match, matching
from moesifasgi.policy.facts import Facts
from moesifasgi.policy.identity import Identity
from moesifasgi.policy.response import Block, Draft, Verdict
from moesifasgi.policy.rule import NO_VALUES, Cohorts, Rule

__all__ = ["Block", "Governance", "Verdict"]


class Governance:
    """``by_user``, ``by_company``: ``decide`` needs to know who it is; ``empty``: there is no rule."""

    def __init__(self, rules: Iterable[Rule], companies: Cohorts, users: Cohorts) -> None:
        regex = [rule for rule in rules if rule.kind == "regex"]
        applicable = [*regex, *companies.rules, *users.rules]
        self._regex = [each for rule in regex for each in rule.rows]
        self._before_body = [each for rule in applicable for each in rule.rows_before_body]
        self._companies = companies
        self._users = users
        self.by_company = bool(companies.rules)
        self.by_user = bool(users.rules)
        self.empty = not applicable

    def wants_body(self, facts: Facts) -> bool:
        """Whether a rule that looks at the body could still match, going by all else that it looks at."""
        return bool(self._before_body) and first_match(self._before_body, facts) is not None

    def decide(self, facts: Facts, user_id: Identity, company_id: Identity) -> Verdict | None:
        """What the rules say; None: nothing. For UNKNOWN only regex rules have a say."""
        applying = [(rule, NO_VALUES) for rule in matching(self._regex, facts)]
        if self.by_company:
            applying.extend(self._companies.applying(facts, company_id))
        if self.by_user:
            applying.extend(self._users.applying(facts, user_id))
        if not applying:
            return None
        draft = Draft()
        for rule, values in applying:
            rule.answer.write(draft, values)
        return draft.verdict()

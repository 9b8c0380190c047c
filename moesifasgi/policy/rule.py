"""One governance rule, compiled; and all rules of a kind that are about users, or about companies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from moesifasgi.policy.conditions import Conditions, Entry, Row, before_body, first_match, matching, row
from moesifasgi.policy.facts import Facts
from moesifasgi.policy.faults import Faults
from moesifasgi.policy.identity import UNKNOWN, Identity
from moesifasgi.policy.response import Answer, flag
from moesifasgi.policy.text import is_list, text_keys, text_of

Values: TypeAlias = Mapping[str, str]
NO_VALUES: Final[Values] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """``not_matching``: it applies to those outside its cohort; ``unidentified``: to nobody known, too."""

    kind: str
    rule_id: str
    entries: tuple[Entry, ...]
    tests: "list[Row[bool]]"
    not_matching: bool
    unidentified: bool
    variables: frozenset[str]
    answer: Answer

    def holds(self, facts: Facts) -> bool:
        """Whether one of its entries does."""
        return first_match(self.tests, facts) is not None

    @property
    def rows(self) -> "list[Row[Rule]]":
        return [row(entry, self) for entry in self.entries]

    @property
    def rows_before_body(self) -> "list[Row[Rule]]":
        """What must hold for the body to matter; empty where the rule does not look at it."""
        return [row(rest, self) for entry in self.entries if (rest := before_body(entry)) is not None]


def compile_rule(rule: object, number: int, conditions: Conditions, faults: Faults) -> Rule | None:
    """The rule, or None and a fault; ``number`` tells it where it has no id."""
    if not isinstance(rule, Mapping):
        faults.add(f"rule number {number} should be an object")
        return None
    rule_id, kind = text_of(rule.get("_id")), rule.get("type")
    if not rule_id:
        faults.add(f"rule number {number} has no _id")
        return None
    owner = f"rule {rule_id[:60]}"
    if kind not in ("regex", "user", "company"):
        faults.add(f"{owner}: its type should be regex, user or company")
        return None
    not_matching = _not_matching(rule.get("applied_to"), owner, faults)
    entries = conditions.entries(rule.get("regex_config"), owner)
    if entries is None or not_matching is None:
        return None
    if any(condition.path == "response.status" for entry in entries for condition in entry):
        faults.add(f"{owner}: a rule decides before there is a response, so it cannot look at its status")
    return Rule(
        kind=kind,
        rule_id=rule_id,
        entries=entries,
        tests=[row(entry, True) for entry in entries],
        not_matching=not_matching,
        unidentified=flag(rule, "applied_to_unidentified", owner, faults),
        variables=_variables(rule),
        answer=Answer(rule, rule_id, owner, faults),
    )


class Cohorts:
    """The rules about users (or companies), and which of them each known one is in the cohort of."""

    __slots__ = ("_members", "_outsiders", "_unidentified", "rules")

    def __init__(self, rules: Sequence[Rule], members: object, key: str, faults: Faults) -> None:
        """``members``: what config has under ``key``, for an id its entries of a rule's id and values."""
        by_id = {rule.rule_id: rule for rule in rules}
        self._members = _members(members, by_id, key, faults)
        self._unidentified = [each for rule in by_id.values() if rule.unidentified for each in rule.rows]
        self._outsiders = [each for rule in by_id.values() if rule.not_matching for each in rule.rows]
        has_members = {rule for memberships in self._members.values() for rule in memberships}
        # Those that can apply to anybody; if there are none, it does not matter who it is.
        self.rules = [
            rule for rule in by_id.values() if rule.unidentified or rule.not_matching or rule in has_members
        ]

    def applying(self, facts: Facts, identity: Identity) -> Iterator[tuple[Rule, Values]]:
        """The rules for this one, in the order in which they override each other."""
        if identity is UNKNOWN:
            return
        if not identity:
            for rule in matching(self._unidentified, facts):
                yield rule, NO_VALUES
            return
        memberships = self._members.get(identity, {})
        for rule, values in memberships.items():
            if not rule.not_matching and rule.holds(facts):
                yield rule, values
        for rule in matching(self._outsiders, facts):
            if rule not in memberships:
                yield rule, NO_VALUES


def _not_matching(applied_to: object, owner: str, faults: Faults) -> bool | None:
    """None: it does not say to whom it applies. To guess could block everybody but those it is meant for."""
    if applied_to is None:
        return False
    known = {"matching": False, "not_matching": True}
    found = known.get(applied_to.lower()) if isinstance(applied_to, str) else None
    if found is None:
        faults.add(f"{owner}: its applied_to should be matching or not_matching")
    return found


def _variables(rule: Mapping[str, Any]) -> frozenset[str]:
    variables = rule.get("variables")
    if not is_list(variables):
        return frozenset()
    names = (text_of(each.get("name")) for each in variables if isinstance(each, Mapping))
    return frozenset(name for name in names if name)


def _members(
    members: object, by_id: Mapping[str, Rule], key: str, faults: Faults
) -> dict[str, dict[Rule, Values]]:
    if members is not None and not isinstance(members, Mapping):
        faults.add(f"config: {key} should be an object")
    made, faulty = {}, 0
    for identity, entries in text_keys(members).items():
        if entries is not None and not is_list(entries):
            faulty += 1
            continue
        memberships: dict[Rule, Values] = {}
        for entry in entries or ():
            if not isinstance(entry, Mapping):
                faulty += 1
            # Config and rules are fetched one after the other: a rule may have gone, or not have come yet.
            elif (rule := by_id.get(text_of(entry.get("rules")) or "")) is not None:
                known = memberships.pop(rule, NO_VALUES)
                memberships[rule] = _values(entry, rule) if entry.get("values") is not None else known
        if memberships:
            made[identity] = memberships
    if faulty:
        faults.add(f"config: {faulty} of the entries of {key} are no list of objects")
    return made


def _values(entry: Mapping[str, Any], rule: Rule) -> Values:
    if not rule.variables:
        return NO_VALUES
    texts = {name: text_of(value) for name, value in text_keys(entry["values"]).items()}
    return {name: text for name, text in texts.items() if text is not None and name in rule.variables}

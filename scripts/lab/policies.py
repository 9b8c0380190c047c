"""Calls to decide upon, and what a policy says of them, in few words."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moesifasgi.policy.facts import Facts
from moesifasgi.policy.governance import Block, Verdict
from moesifasgi.policy.policy import Policy

Json = dict[str, Any]
UNREAD = object()


def call(
    verb: str = "GET",
    route: str = "/",
    *,
    ip: str | None = "198.51.100.7",
    headers: Mapping[str, str] | None = None,
    body: object = UNREAD,
    status: int | None = None,
) -> Facts:
    """The facts of a call; ``headers`` with lower-case names."""
    return Facts(
        verb=verb,
        route=route,
        ip_address=lambda: ip,
        header=(headers or {}).get,
        body=None if body is UNREAD else lambda: body,
        status=status,
    )


def entry(*conditions: tuple[str, str], **more: object) -> Json:
    """One entry of regex_config: conditions that all have to match."""
    return {"conditions": [{"path": path, "value": pattern} for path, pattern in conditions], **more}


def policy(
    *rules: object,
    config: object = None,
    first_match: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Policy:
    """The compiled policy of these rules and this config."""
    return Policy.compile({"config": config, "rules": list(rules)}, first_match=first_match, clock=clock)


def decided(
    rules: Sequence[object],
    facts: Facts | None = None,
    *,
    config: object = None,
    user: Any = None,
    company: Any = None,
) -> Verdict | None:
    """What the rules say of the call."""
    return policy(*rules, config=config).governance.decide(facts or call(), user, company)


def blocked(rules: Sequence[object], facts: Facts | None = None, **who: Any) -> Block | None:
    """The response of the rule that blocks the call."""
    verdict = decided(rules, facts, **who)
    return verdict.block if verdict else None


def blocker(rules: Sequence[object], facts: Facts | None = None, **who: Any) -> str | None:
    """The id of the rule that blocks the call."""
    block = blocked(rules, facts, **who)
    return block.rule_id if block else None


def in_cohort(identity: str, *entries: str | tuple[str, Mapping[str, object]], kind: str = "user") -> Json:
    """A config that has this user (or company) in the cohorts of these rules, with these values."""
    pairs = [(name, None) if isinstance(name, str) else name for name in entries]
    listed = [
        {"rules": rule_id} if values is None else {"rules": rule_id, "values": values}
        for rule_id, values in pairs
    ]
    return {f"{kind}_rules": {identity: listed}}

"""The published package decides as this one does, wherever it is right.

10,000 generated documents, each with two calls, go through both. The generator leaves out only what the
published package has wrong; for each of these a test, in tests/faults/test_policy_faults.py (with its
id, such as C3) or in test_published_differences.py, says which documented rule wins.
"""

import random
from collections.abc import Mapping
from typing import Any

from lab.policies import Json, call, entry, policy
from lab.published_decisions import (
    comparable,
    published_rate,
    published_verdict,
    under,
)

from moesifasgi.policy.governance import Verdict

DOCUMENTS = 5_000
"""Of rules, and as many of rates."""
CALLS = 2
"""Upon each."""
USERS, COMPANIES = ("u1", "u2", "12"), ("acme", "umbrella")
# Of each path, what calls have there, and what rules look for. In sampling, a match of the empty text is none
# for the published package, so no pattern here matches it.
VALUES: dict[str, tuple[str, ...]] = {
    "request.verb": ("GET", "POST", "DELETE"),
    "request.route": ("/", "/a", "/a/b", "/admin/users/12", "/api/v1/orders/7"),
    "request.ip": ("198.51.100.7", "203.0.113.9", "2001:db8::1"),
    "request.headers.X-Plan": ("free", "gold", "GOLD"),
    "request.body.name": ("ada", "Bob", "a" * 300),
    "request.body.operationName": ("getUser", "deleteUser"),
}
PATTERNS: dict[str, tuple[str, ...]] = {
    "request.verb": ("^GET$", "^(POST|PUT)$", "E"),
    "request.route": ("^/a", "/a$", ".*/users/.*", "^/api/v[0-9]+/orders/[0-9]+$", "/[0-9]+", "(a|ab)*/b$"),
    "request.ip": (r"^198\.", "^203", ":"),
    "request.headers.X-Plan": ("gold", "(?i)gold", "^f.*e$"),
    "request.body.name": ("ada", "^[A-Z]", "a+$"),
    "request.body.operationName": ("^delete", "User$"),
    "request.nothing": (".",),
}
SAMPLED_BY = ("request.verb", "request.route", "request.ip_address", "response.status")


def test_rules_decide_as_in_the_published_package():
    chance = random.Random(1)
    outcomes = {"passed": 0, "headers": 0, "blocked": 0}
    for number in range(DOCUMENTS):
        rules = _rules(chance)
        config = _members(chance, rules)
        compiled = policy(*rules, config=config)
        assert compiled.faults == () or "request.nothing" in str(rules), (number, compiled.faults)
        for _ in range(CALLS):
            request, user, company = _request(chance), _one_of(chance, USERS), _one_of(chance, COMPANIES)
            ours = compiled.governance.decide(_facts(request), user, company)
            published = published_verdict(rules, config, request, user, company)
            assert comparable(ours) == published, (number, rules, config, request, user, company)
            outcomes[_outcome(ours)] += 1
    # The generator is worth nothing if it makes only one of them.
    assert min(outcomes.values()) > DOCUMENTS / 10, outcomes


def test_rates_are_those_of_the_published_package():
    chance = random.Random(2)
    rates = set()
    for number in range(DOCUMENTS):
        config = _rates(chance)
        documented, upstreams = policy(config=config), policy(config=config, first_match=True)
        for _ in range(CALLS):
            request, status = _request(chance), chance.choice([200, 404, 500])
            asked = (request, status, _one_of(chance, USERS), _one_of(chance, COMPANIES))
            call_and_who = (_facts(request, status), *asked[2:])
            rates.add(documented.sampling.rate(*call_and_who))
            assert upstreams.sampling.rate(*call_and_who) == published_rate(config, *asked), (number, asked)
            assert documented.sampling.rate(*call_and_who) == _documented_rate(config, asked), (number, asked)
    assert len(rates) > 10


def _documented_rate(config: Json, asked: tuple[Any, ...]) -> float:
    """The documented rule, put together from what the published package says of its parts."""
    by_pattern = {"regex_config": config["regex_config"], "sample_rate": None}
    by_entity = {**config, "regex_config": [], "sample_rate": None}
    rates = [published_rate(part, *asked) for part in (by_pattern, by_entity)]
    return min((rate for rate in rates if rate is not None), default=config.get("sample_rate", 100))


def _one_of(chance: random.Random, identities: tuple[str, ...]) -> str | None:
    return chance.choice([None, *identities])


def _members(chance: random.Random, rules: list[Json]) -> Json:
    kinds = [kind for kind in ("user", "company") if chance.random() < 0.9]
    return {
        f"{kind}_rules": {name: _cohorts(chance, rules, kind) for name in (*USERS, *COMPANIES)}
        for kind in kinds
    }


def _rules(chance: random.Random) -> list[Json]:
    return [_rule(chance, f"r{number}") for number in range(chance.randint(1, 6))]


def _rule(chance: random.Random, rule_id: str) -> Json:
    variables = [{"name": name, "path": "x"} for name in ("0", "plan") if chance.random() < 0.5]
    tags = ["", *(f" {{{{{variable['name']}}}}}" for variable in variables)]
    headers = {
        f"X-{name}": f"by {rule_id}{chance.choice(tags)}" for name in ("One", "Two") if chance.random() < 0.5
    }
    text = f"{rule_id}{chance.choice(tags)}"
    # A list in a body is C5, but only where there are variables.
    bodies = [text, {"error": text, "deep": {"by": text, "n": 1.5}}, None, 7, {}]
    body = chance.choice(bodies if variables else [*bodies, [text, {"x": [text]}]])
    return {
        "_id": rule_id,
        "type": chance.choice(["regex", "user", "company"]),
        "block": chance.random() < 0.5,
        "applied_to": chance.choice(["matching", "not_matching"]),
        "applied_to_unidentified": chance.random() < 0.5,
        "variables": variables or chance.choice([[], None]),
        "regex_config": chance.choice([[], _entries(chance), _entries(chance)]),
        "response": {"status": chance.choice([200, 403, 429, 503]), "headers": headers, "body": body},
    }


def _entries(chance: random.Random) -> list[Json]:
    paths = list(PATTERNS)
    return [
        entry(
            *((path, chance.choice(PATTERNS[path])) for path in chance.choices(paths, k=chance.randint(0, 2)))
        )
        for _ in range(chance.randint(1, 2))
    ]


def _cohorts(chance: random.Random, rules: list[Json], kind: str) -> list[Json]:
    """Entries for one id. Only the last may be of a rule that does not apply: what follows is lost (C3, C4).

    All are of rules that there are (C2), each at most once.
    """
    known = [each for each in rules if each["type"] == kind]
    plain = [each for each in known if not each["regex_config"] and each["applied_to"] == "matching"]
    chosen = [each["_id"] for each in plain if chance.random() < 0.6]
    others = [each["_id"] for each in known if each["_id"] not in chosen]
    if others and chance.random() < 0.6:
        chosen.append(chance.choice(others))
    entries: list[Json] = [{"rules": rule_id} for rule_id in chosen]
    for each in entries:
        if chance.random() < 0.7:
            each["values"] = {
                name: chance.choice(["v", "a b"]) for name in ("0", "plan") if chance.random() < 0.7
            }
    return entries


def _request(chance: random.Random) -> dict[str, str]:
    optional = ("request.headers.X-Plan", "request.body.name", "request.body.operationName")
    return {
        path: chance.choice(values)
        for path, values in VALUES.items()
        if path not in optional or chance.random() < 0.7
    }


def _rates(chance: random.Random) -> Json:
    rate = [0, 1, 5, 10, 12.5, 25, 30, 50, 75, 90, 99, 100]
    config: Json = {
        "regex_config": [_sampling_entry(chance, chance.choice(rate)) for _ in range(chance.randint(0, 4))]
    }
    if chance.random() < 0.7:
        config["user_sample_rate"] = {name: chance.choice(rate) for name in USERS if chance.random() < 0.5}
    if chance.random() < 0.7:
        config["company_sample_rate"] = {
            name: chance.choice(rate) for name in COMPANIES if chance.random() < 0.5
        }
    if chance.random() < 0.7:
        config["sample_rate"] = chance.choice(rate)
    return config


def _sampling_entry(chance: random.Random, rate: float) -> Json:
    patterns = {
        **PATTERNS,
        "request.ip_address": PATTERNS["request.ip"],
        "response.status": ("^2", "4", "500"),
    }
    # Each path once: C13.
    paths = chance.sample(SAMPLED_BY, k=chance.randint(0, 3))
    return entry(*((path, chance.choice(patterns[path])) for path in paths), sample_rate=rate)


def _facts(request: Mapping[str, str], status: int | None = None) -> Any:
    return call(
        request["request.verb"],
        request["request.route"],
        ip=request["request.ip"],
        headers=under("request.headers.", request, str.lower),
        body=under("request.body.", request),
        status=status,
    )


def _outcome(verdict: Verdict | None) -> str:
    if verdict is None:
        return "passed"
    return "headers" if verdict.block is None else "blocked"

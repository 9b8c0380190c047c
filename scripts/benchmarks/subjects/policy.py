"""Subject: requests to a FastAPI application whose worker enforces a policy, or does bare searches instead.

python -m benchmarks.subjects.policy VARIANT

    bare        the application alone
    searches    and 150 precompiled patterns, searched one after the other
    none        the middleware with no policy
    policy      the middleware with 100 rules and 50 sampling patterns: the same ones, on the same values

Nothing is delivered: the channel keeps what it is offered.
"""

import re
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.subjects.asgi import HEADERS, drive, lifespan
from benchmarks.subjects.turns import take_turns
from benchmarks.subjects.variants import Application, Message, Receive, Send, bare

RULES, RATES = 100, 50
VALUES = {
    "request.route": "/orders",
    "request.verb": "POST",
    "request.ip_address": "203.0.113.7",
    "request.headers.user-agent": dict(HEADERS)[b"user-agent"].decode(),
    "request.headers.origin": "https://shop.example.com",
}
PATTERNS = (
    ("request.route", "^/api/v{n}/(accounts|invoices)/[0-9]+$"),
    ("request.headers.user-agent", "(Bot|Crawler|Spider)/{n}"),
    ("request.route", "/reports/{n}"),
    ("request.ip_address", "^10[.]{n}[.]"),
    ("request.headers.origin", "^https://partner-{n}[.]example[.]org$"),
    ("request.verb", "^(PATCH|DELETE){n}$"),
)
"""Where they look and what for, in turn. None of them is found, so that each is searched."""


def conditions() -> list[dict[str, str]]:
    return [
        {"path": path, "value": pattern.replace("{n}", str(number))}
        for number in range(RULES + RATES)
        for path, pattern in [PATTERNS[number % len(PATTERNS)]]
    ]


def document() -> dict[str, Any]:
    """The policy, as the collector answers it."""
    entries = [{"conditions": [condition]} for condition in conditions()]
    response = {"status": 403, "headers": {}, "body": {"error": "blocked"}}
    rules = [
        {"_id": f"r{number}", "type": "regex", "block": True, "regex_config": [entry], "response": response}
        for number, entry in enumerate(entries[:RULES])
    ]
    rates = [entry | {"sample_rate": 10} for entry in entries[RULES:]]
    return {"config": {"sample_rate": 100, "regex_config": rates}, "rules": rules}


class Searches:
    """All patterns on their values, and nothing else."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._searches = [
            (re.compile(condition["value"]).search, VALUES[condition["path"]]) for condition in conditions()
        ]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        for search, value in self._searches:
            if search(value) is not None:
                raise RuntimeError("a pattern that should not be found was")
        await self._app(scope, receive, send)


def _searches() -> Application:
    return Searches(bare())


def _none() -> Application:
    return _watched({})


def _policy() -> Application:
    return _watched(document())


def _watched(policy: dict[str, Any]) -> Application:
    from moesifasgi import MoesifMiddleware
    from moesifasgi.channel.memory import MemoryChannel
    from moesifasgi.channel.registry import channels

    app = MoesifMiddleware(bare(), settings={"APPLICATION_ID": "an-application", "TRANSPORT": "memory"})
    (channel,) = channels()
    assert isinstance(channel, MemoryChannel)
    channel.push(0, policy)
    return app


VARIANTS: dict[str, Callable[[], Application]] = {
    "bare": bare,
    "searches": _searches,
    "none": _none,
    "policy": _policy,
}


async def main(variant: str) -> None:
    app = VARIANTS[variant]()
    async with lifespan(app):
        await take_turns(lambda count: drive(app, count))


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:]))

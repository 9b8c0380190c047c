"""What the published package decides, asked in the same words as ours.

A request is a map of the paths that conditions look at to what it has there.
"""

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from moesifapi.app_config.app_config import AppConfig
from moesifapi.governance_manager import GovernanceRulesManager

from lab.policies import Json
from moesifasgi.policy.governance import Verdict

Request = Mapping[str, str]


def published_response(
    rules: list[Json],
    config: Json,
    request: Request,
    user: str | None = None,
    company: str | None = None,
) -> Any:
    """What it makes of the response, in its own form."""
    manager = GovernanceRulesManager(None)
    manager.cache_rules(rules)
    # The route as the whole URI is C8.
    seen = SimpleNamespace(
        verb=request.get("request.verb", "GET"),
        ip_address=request.get("request.ip"),
        uri=request.get("request.route", "/"),
    )
    headers, body = under("request.headers.", request), under("request.body.", request)
    return manager.govern_request(config, seen, user, company, body, headers)


def published_verdict(
    rules: list[Json], config: Json, request: Request, user: str | None = None, company: str | None = None
) -> Json:
    """What it makes of the response, with the names of headers in small letters."""
    response = published_response(rules, config, request, user, company)
    headers = {name.lower(): value for name, value in response["headers"].items()}
    if "blocked_by" not in response:
        return {"headers": headers}
    return {
        "blocked_by": response["blocked_by"],
        "status": response["status"],
        "body": json.loads(b"".join(response["body"])),
        "headers": headers,
    }


def published_rate(
    config: Json, request: Request, status: int = 200, user: str | None = None, company: str | None = None
) -> Any:
    """Its rate in percent."""
    event = SimpleNamespace(
        request=SimpleNamespace(
            verb=request.get("request.verb", "GET"),
            uri="https://example.org" + request["request.route"],
            ip_address=request.get("request.ip", "198.51.100.7"),
        ),
        response=SimpleNamespace(status=status),
    )
    return AppConfig().get_sampling_percentage(event, config, user, company)


def comparable(verdict: Verdict | None) -> Json:
    """Our verdict in the form of ``published_verdict``."""
    if verdict is None or verdict.block is None:
        return {"headers": _text_headers(verdict.headers if verdict else [])}
    block = verdict.block
    headers = _text_headers(block.headers)
    # A blocked response of the published package has neither: A17e.
    assert headers.pop("content-type") == "application/json"
    assert headers.pop("content-length") == str(len(block.body))
    return {
        "blocked_by": block.rule_id,
        "status": block.status,
        "body": json.loads(block.body),
        "headers": headers,
    }


def _text_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def under(prefix: str, request: Request, written: Callable[[str], str] = str) -> dict[str, str]:
    """The values of a request whose paths begin so, by the rest of the path."""
    return {
        written(path.removeprefix(prefix)): value
        for path, value in request.items()
        if path.startswith(prefix)
    }

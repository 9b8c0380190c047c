"""Governance rules as the dashboard writes them, for tests and benchmarks."""

from typing import Any


def rule(name: str, *conditions: tuple[str, str], kind: str = "regex", **more: Any) -> dict[str, Any]:
    """One rule; its id is its name. Conditions are (path, pattern), all of which have to match."""
    entries = [{"conditions": [{"path": path, "value": value} for path, value in conditions]}]
    return {"_id": name, "name": name, "type": kind, "regex_config": entries if conditions else [], **more}


def blocking(
    name: str, *conditions: tuple[str, str], status: int = 403, body: Any = None, **more: Any
) -> dict[str, Any]:
    """A rule that answers in the application's place."""
    response = {"status": status, "headers": {"X-Blocked": name}, "body": body or {"blocked": name}}
    return rule(name, *conditions, block=True, response=response, **more)


def adding(name: str, *conditions: tuple[str, str], headers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule that adds headers and blocks nothing."""
    return rule(name, *conditions, block=False, response={"headers": headers}, **more)

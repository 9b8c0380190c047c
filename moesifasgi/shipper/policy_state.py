"""What is known of one application's policy: its two parts, how fresh they are, how they are kept. Pure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgpack

from moesifasgi.shipper.freshness import Failed, Freshness, PolicyPace
from moesifasgi.shipper.policy_request import Fetched, Part
from moesifasgi.wire.application import Application
from moesifasgi.wire.policy_document import NO_CONFIG, NO_RULES, joined


class _Kept(NamedTuple):
    """A part as the spool has it."""

    packed: bytes
    tag: str | None
    tags: tuple[str, ...]


class PolicyState:
    """One application's. Times are monotonic seconds."""

    def __init__(self, pace: PolicyPace, now: float, kept: bytes | None = None) -> None:
        """``kept`` is what ``to_keep`` gave to an earlier shipper; unreadable, it counts for nothing."""
        known = _read(kept)
        self.application: Application | None = None
        """As its workers last described it; None: nobody has said HELLO yet, so nobody waits for policy."""
        self.awaited = False
        """Whether workers of it are connected, as far as is known."""
        self.in_flight = False
        self.rules = 0
        self.faults: tuple[str, ...] = ()
        self._parts = {part: found.packed for part, found in known.items()}
        self._freshness = {
            part: Freshness(pace, now, *known[part][1:]) if part in known else Freshness(pace, now)
            for part in Part
        }

    @property
    def document(self) -> bytes | None:
        """What workers are to enforce; None as long as neither part is known.

        Who is in the cohort of a rule is in the configuration. Before there has been one, a rule for those
        outside its cohort would meet everybody, so no rule about users or companies is in force.
        """
        if not self._parts:
            return None
        config, rules = (self._parts.get(part) for part in Part)
        if config is None and rules is not None:
            return joined(NO_CONFIG, _without_cohorts(rules))
        return joined(config or NO_CONFIG, rules or NO_RULES)

    @property
    def due_at(self) -> float:
        """When the next request may start; infinity while one is under way, or where nobody waits for it."""
        if self.in_flight or not self.awaited:
            return float("inf")
        return min(freshness.due_at for freshness in self._freshness.values())

    def due(self, now: float) -> list[tuple[Part, str | None]]:
        """The parts to ask for now, each with the tag that is known of it."""
        return [
            (part, freshness.tag if part in self._parts else None)
            for part, freshness in self._freshness.items()
            if freshness.due_at <= now
        ]

    def learn(self, application: Application, now: float) -> None:
        """A worker said HELLO. Other settings may lead to another collector."""
        if self.application is not None and way_of(self.application) != way_of(application):
            for freshness in self._freshness.values():
                freshness.begin_anew(now)
        self.application, self.awaited = application, True

    def named(self, tags: Iterable[str | None], now: float) -> None:
        """An answer to an upload named these tags, of configuration and rules."""
        for freshness, tag in zip(self._freshness.values(), tags, strict=True):
            if tag is not None:
                freshness.named(tag, now)

    def take(self, part: Part, result: Fetched | Failed, now: float, random01: float) -> None:
        """What came of a request."""
        freshness = self._freshness[part]
        if isinstance(result, Failed):
            freshness.failed(result, now, random01)
            return
        packed = result.packed or self._parts[part]
        changed = packed != self._parts.get(part)
        if freshness.answered(result.tag, changed=changed, now=now, random01=random01):
            self._parts[part] = packed

    def to_keep(self) -> bytes:
        """The policy and its tags, for the spool."""
        kept = {
            part.value: _Kept(packed, self._freshness[part].tag, self._freshness[part].tags)
            for part, packed in self._parts.items()
        }
        packed: bytes = msgpack.packb(kept)
        return packed

    @property
    def reason(self) -> str:
        """Why the last check failed, in whole or in part; empty if it did not."""
        return "; ".join(
            f"/v1/{part.value}: {freshness.reason}"
            for part, freshness in self._freshness.items()
            if freshness.reason
        )

    def status(self, now: float) -> dict[str, Any]:
        """For the status document. Ages and waits in seconds."""
        config, rules = (self._freshness[part] for part in Part)
        checked_at = [at for at in (config.checked_at, rules.checked_at) if at is not None]
        next_at = min(config.due_at, rules.due_at)
        return {
            "state": self._state(whole=len(checked_at) == len(Part)),
            "age_seconds": now - min(checked_at) if len(checked_at) == len(Part) else None,
            "next_check_in_seconds": max(0.0, next_at - now) if self.awaited else None,
            "config_tag": config.tag,
            "rules_tag": rules.tag,
            "rules": self.rules,
            "faults": list(self.faults),
        }

    def _state(self, *, whole: bool) -> str:
        if not self._parts:
            return f"never fetched: {self.reason}" if self.reason else "never fetched"
        if Part.CONFIG not in self._parts:
            why = f": {self.reason}" if self.reason else ""
            return f"without configuration, so without rules about users and companies{why}"
        if self.reason:
            return f"stale: {self.reason}"
        return "ok" if whole else "stale: not checked since the shipper's start"


def way_of(application: Application) -> tuple[str | None, ...]:
    """What decides which collector answers, and how it is reached."""
    return application.base_uri, application.http_proxy, application.ca_bundle


def _without_cohorts(rules: bytes) -> bytes:
    kept = [rule for rule in msgpack.unpackb(rules) if isinstance(rule, dict) and rule.get("type") == "regex"]
    packed: bytes = msgpack.packb(kept)
    return packed


def _read(kept: bytes | None) -> dict[Part, _Kept]:
    """The parts that ``to_keep`` packed; none where another version packed something else."""
    if kept is None:
        return {}
    try:
        found = {Part(name): packed for name, packed in msgpack.unpackb(kept).items()}
        return {part: _checked(part, *packed) for part, packed in found.items()}
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException):
        return {}


def _checked(part: Part, packed: Any, tag: Any, tags: Any) -> _Kept:
    if not isinstance(msgpack.unpackb(packed), part.shape) or not isinstance(tag, str | None):
        raise TypeError("a part is what it was packed from, with a tag")
    return _Kept(packed, tag, tuple(map(str, tags)))

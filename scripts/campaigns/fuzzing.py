"""Fuzzed ASGI exchanges, each with the bare application and with the middleware around it.

What must hold: both ends see the same (but for the transaction id), what is raised is the same, the request
has exactly one fate, and its record makes an event that the collector takes. Where a value is of a type that
no ASGI server gives, the event may be refused instead, alone.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lab.driven_asgi import App, Seen, comparable, seen_of
from lab.fuzzed_asgi import START, Touchy, fuzzed
from lab.one_worker import OneWorker

from moesifasgi import MoesifMiddleware
from moesifasgi.exchange import TRANSACTION_HEADER
from moesifasgi.inspector.schema import faults_of
from moesifasgi.shipper.payload import Unserialisable, encode_item
from moesifasgi.waiting import waiting
from moesifasgi.wire.messages import Event

HOOKS_END_S = 10.0
_ROOMY = {"EVENT_QUEUE_SIZE": 100_000, "EVENT_QUEUE_BYTES": 1_000_000_000, "HOOK_TIMEOUT": 0.001}
_ID = comparable(TRANSACTION_HEADER)
_NONSENSE: tuple[Any, ...] = (
    None,
    0,
    "",
    b"\xff",
    [],
    {"a": {1, 2}},
    object(),
    Touchy(),
    float("nan"),
    "\ud800",
    iter("ab"),
)


class Hook:
    """A user's function that in turn raises, answers nonsense, damages what it is given, or never answers."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, *given: Any) -> Any:
        self._calls += 1
        match self._calls % 200:
            case 0:
                return asyncio.Event().wait()
            case turn if turn % 3 == 0:
                raise RuntimeError("a fault of the user's")
            case turn if turn % 3 == 1:
                self._damage(given)
        return _NONSENSE[self._calls % len(_NONSENSE)]

    def _damage(self, given: Sequence[Any]) -> None:
        for each in given:
            scope = getattr(each, "scope", None)
            if isinstance(scope, dict):
                # What lies deeper than the scope's own maps is shared with the application.
                for inner in scope.values():
                    if isinstance(inner, dict):
                        inner.clear()
                scope.clear()
            for name in list(vars(each)):
                setattr(each, name, None)


def profiles() -> list[dict[str, Any]]:
    """Settings under each of which an exchange can take another way."""
    functions = ("IDENTIFY_USER", "IDENTIFY_COMPANY", "GET_METADATA", "GET_SESSION_TOKEN")
    return [
        {},
        {"REQUEST_BODY_MASKS": ["a"], "RESPONSE_BODY_MASKS": ["a.b"], "REQUEST_QUERY_MASKS": ["a"]},
        {**{name: Hook() for name in functions}, "MASK_EVENT_MODEL": Hook()},
        {"SKIP": Hook(), "DISABLED_TRANSACTION_ID": True, "LOG_CONTENT_TYPES": ["application/json"]},
        {"EXCLUDE_PATHS": ["/a*"], "EXCLUDE_METHODS": ["HEAD"], "SAMPLE_RATE": 90, "MAX_BODY_SIZE": 10},
    ]


def faults(seeds: Iterable[int], directory: Path) -> list[str]:
    """What did not hold, one line each with its seed."""
    return asyncio.run(_Fuzzing(OneWorker(directory)).faults(seeds))


class _Fuzzing:
    def __init__(self, worker: OneWorker) -> None:
        self._worker = worker
        made = [worker.wrap(None, **_ROOMY, **profile) for profile in profiles()]
        self._wraps = [_wrapped_by(middleware) for middleware in made]
        self._application = worker.channel.applications[0]

    async def faults(self, seeds: Iterable[int]) -> list[str]:
        return [f"seed {seed}: {fault}" for seed in seeds for fault in await self._faults_of(seed)]

    async def _faults_of(self, seed: int) -> list[str]:
        exchange = fuzzed(seed)
        is_http = comparable(exchange.scope.get("type")) == comparable("http")
        before = self._fates()
        bare = await seen_of(fuzzed(seed), lambda app: app)
        watched = await seen_of(exchange, self._wraps[seed % len(self._wraps)])
        await waiting.drain(HOOKS_END_S)
        after = self._fates()
        captured, ended, internal_errors = (now - then for now, then in zip(after, before, strict=True))
        found = [*_differences(bare, watched), *self._faults_of_events(plain=exchange.plain)]
        if not captured == ended == is_http:
            found.append(f"{captured} captured, {ended} ended")
        if exchange.plain and internal_errors:
            found.append("an internal error where all types are right")
        return found

    def _fates(self) -> tuple[int, int, int]:
        """How many were captured; how many have a fate, with those in the ring; how many failed in us."""
        numbers = self._worker.channel.counters.snapshot()
        dropped = sum(number for name, number in numbers.items() if name.startswith("dropped."))
        ended = numbers["skipped"] + numbers["sampled_out"] + dropped
        ended += self._worker.channel.stats()["ring_events"]
        return numbers["captured"], ended, numbers.get("dropped.internal_error", 0)

    def _faults_of_events(self, *, plain: bool) -> list[str]:
        events = self._worker.channel.events
        found = [fault for event in events for fault in self._faults_of_event(event, plain=plain)]
        events.clear()
        return found

    def _faults_of_event(self, event: Event, *, plain: bool) -> list[str]:
        try:
            item = encode_item(event.kind, event.payload)
        except Unserialisable as error:
            return [f"no event: {error.reason}"] if plain else []
        return faults_of("events", json.loads(item, parse_constant=_refused))


def _wrapped_by(middleware: MoesifMiddleware) -> Callable[[App], App]:
    def wrap(app: App) -> App:
        middleware.app = app
        return middleware

    return wrap


def _differences(bare: Seen, watched: Seen) -> list[str]:
    server = [_without_id(*pair) for pair in zip_longest(bare.by_server, watched.by_server)]
    pairs = {
        "raised": (bare.error, watched.error),
        "the application saw": (bare.by_application, watched.by_application),
        "the server saw": (bare.by_server, server),
    }
    return [f"{what} {one!s:.100} / {other!s:.100}" for what, (one, other) in pairs.items() if one != other]


def _without_id(bare: Any, watched: Any) -> Any:
    """The message that the server got, without the one header that may be added to it."""
    if bare == watched or not isinstance(watched, dict) or watched.get("'type'") != comparable(START):
        return watched
    *others, last = watched.get("'headers'") or [None]
    if not isinstance(last, list) or last[0] != _ID:
        return watched
    rest = {name: value for name, value in watched.items() if name != "'headers'"}
    return {**rest, "'headers'": others} if others or "'headers'" in bare else rest


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")

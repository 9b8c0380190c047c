"""A collector told to misbehave: what it does instead of a proper answer, to which requests, how often.

A Behaviour is a value; the Script gives one to each request that it applies to. Neither does any IO.
"""

import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from moesifasgi.inspector.decoding import MAX_BODY_BYTES
from moesifasgi.inspector.message import Answer
from moesifasgi.wire.application import Application

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FAULTS = ("hang", "reset", "reset_after_bytes", "lose_reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What to do to a request. With nothing set, what the collector does anyway. ValueError if impossible."""

    status: int | None = None
    """Answer with this status (200 to 599). Outside 2xx nothing is stored."""
    headers: dict[str, str] = field(default_factory=dict)
    """Added to the answer; they replace headers of the same name."""
    body: str | None = None
    """The answer's body instead of its own."""
    delay_s: float = 0.0
    """Wait so long before anything is stored or answered."""
    drip_s: float | None = None
    """Answer one byte at a time, with so long a wait before each."""
    hang: bool = False
    """Read the request, store nothing and never answer, until the client or the collector closes."""
    reset: bool = False
    """Read the request, store nothing and reset the connection."""
    reset_after_bytes: int | None = None
    """Reset the connection after so many bytes of the request's body; 0: after its headers."""
    lose_reply: bool = False
    """Store what came, then reset the connection instead of answering."""
    times: int | None = None
    """For so many requests, then back to normal. None: until told otherwise; for a sequence: once through."""
    path_prefix: str = ""
    """Only for paths that start so, counted from ``/v1``."""
    application_id: str | None = field(default=None, repr=False)
    """Only for requests of this application."""
    sequence: tuple["Behaviour", ...] = ()
    """Steps to go through, each for its ``times`` (None: one) requests."""

    def __post_init__(self) -> None:
        for name, (types, what) in _EXPECTED.items():
            value = getattr(self, name)
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise ValueError(f"{name}: expected {what}, got {type(value).__name__}")
        _check_numbers(self)
        _check_headers(self.headers)
        values = [getattr(self, name) for name in _FAULTS]
        if sum(value is not None and value is not False for value in values) > 1:
            raise ValueError(f"expected at most one of {', '.join(_FAULTS)}")
        for step in self.sequence:
            if step.sequence or step.path_prefix or step.application_id is not None:
                raise ValueError("sequence: a step has no path_prefix, application_id or sequence of its own")

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Build from a decoded JSON object. ValueError says what was expected."""
        if not isinstance(document, dict):
            raise ValueError("expected a JSON object")
        unknown = document.keys() - {known.name for known in fields(cls)}
        if unknown:
            known_names = ", ".join(known.name for known in fields(cls))
            raise ValueError(f"unknown {', '.join(sorted(unknown))}; expected some of {known_names}")
        steps = document.get("sequence", [])
        if not isinstance(steps, list):
            raise ValueError("sequence: expected an array of behaviours")
        return cls(**{**document, "sequence": tuple(cls.from_json(step) for step in steps)})

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, with the application shown by its last four characters only."""
        document = asdict(self)
        if self.application_id is not None:
            document["application_id"] = Application(self.application_id).label
        return document

    def applies_to(self, path: str, application_id: str | None) -> bool:
        """Whether a request for this path, of this application, is meant."""
        return path.startswith(self.path_prefix) and self.application_id in (None, application_id)

    def refusal(self) -> Answer | None:
        """The answer where a request is refused without a look at what it brings."""
        return None if self.status is None or self.status < 300 else Answer(self.status)

    def disguise(self, answer: Answer) -> Answer:
        """The answer as this behaviour wants it. A refusal by the contract keeps its own status."""
        replaced = {name.lower() for name in self.headers}
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in replaced}
        return Answer(
            self.status if self.status is not None and answer.status < 300 else answer.status,
            answer.body if self.body is None else self.body.encode(),
            {**kept, **self.headers},
        )

    def steps(self) -> Iterator["Behaviour"]:
        """What each next request that is meant meets; ends where things are normal again."""
        if not self.sequence:
            return itertools.repeat(self) if self.times is None else itertools.repeat(self, self.times)
        rounds = itertools.repeat(self.sequence, self.times or 1)
        return (step for steps in rounds for one in steps for step in itertools.repeat(one, one.times or 1))


_NUMBER, _COUNT = (int, float), (int, type(None))
_EXPECTED: dict[str, tuple[tuple[type, ...], str]] = {
    "status": (_COUNT, "an integer"),
    "headers": ((dict,), "an object of strings"),
    "body": ((str, type(None)), "a string"),
    "delay_s": (_NUMBER, "a number of seconds"),
    "drip_s": ((*_NUMBER, type(None)), "a number of seconds"),
    "hang": ((bool,), "a boolean"),
    "reset": ((bool,), "a boolean"),
    "reset_after_bytes": (_COUNT, "an integer"),
    "lose_reply": ((bool,), "a boolean"),
    "times": (_COUNT, "an integer"),
    "path_prefix": ((str,), "a string"),
    "application_id": ((str, type(None)), "a string"),
    "sequence": ((tuple,), "a tuple of behaviours"),
}


def _check_numbers(behaviour: Behaviour) -> None:
    if behaviour.status is not None and not 200 <= behaviour.status <= 599:
        raise ValueError(f"status: expected 200 to 599, got {behaviour.status}")
    if behaviour.times is not None and behaviour.times < 1:
        raise ValueError(f"times: expected at least 1, got {behaviour.times}")
    for name, most in (("delay_s", 3600), ("drip_s", 3600), ("reset_after_bytes", MAX_BODY_BYTES)):
        value = getattr(behaviour, name)
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"{name}: expected 0 to {most}, got {value}")


def _check_headers(headers: dict[str, str]) -> None:
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"headers: {name!r} is not a header name")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"headers: expected one line of text for {name}")


class Script:
    """The Behaviours in force, shared by all connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: list[tuple[Behaviour, Iterator[Behaviour]]] = []

    @property
    def behaviours(self) -> list[Behaviour]:
        """What was asked for last, whether or not its times are used up."""
        return [behaviour for behaviour, _ in self._told]

    def follow(self, *behaviours: Behaviour | None) -> None:
        """From the next request on, do this: the first that is meant and not used up. None: behave."""
        told = [behaviour for behaviour in behaviours if behaviour is not None]
        with self._lock:
            self._told = [(behaviour, behaviour.steps()) for behaviour in told]

    def next_for(self, path: str, application_id: str | None) -> Behaviour | None:
        """What the request that has just come meets; None: nothing out of the ordinary."""
        with self._lock:
            for behaviour, steps in self._told:
                if behaviour.applies_to(path, application_id) and (step := next(steps, None)) is not None:
                    return step
            return None

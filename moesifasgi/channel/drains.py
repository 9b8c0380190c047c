"""The drains that this process waits for, and how long it does. Pure; the carrier's lock guards it."""

from dataclasses import dataclass

from moesifasgi.channel import Drained as Outcome
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import Drain, Drained

PATIENCE_S = 0.7
"""How long a leaving worker waits for a sign of life."""
STARTING_PATIENCE_S = 3.0
"""The same while a shipper is being started, which takes about half a second on an idle machine."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one drain is waited for. Times are monotonic."""

    begun: float
    timeout_s: float
    give_up: bool
    """Not longer than ``PATIENCE_S`` without a sign of life."""

    def verdict(self, now: float, last_heard: float, *, starting: bool) -> Outcome | None:
        """What comes of it if there is no answer by now; None: it is waited for still."""
        if now - self.begun >= self.timeout_s:
            return Outcome(delivered=False, reason=f"not delivered within {self.timeout_s:g} s")
        silent_s = now - max(self.begun, last_heard)
        if self.give_up and silent_s >= (STARTING_PATIENCE_S if starting else PATIENCE_S):
            return Outcome(delivered=False, reason="no shipper answers")
        return None


@dataclass(slots=True)
class _Waiting:
    give_up: bool
    outcome: Outcome | None = None


class Drains:
    """Questions to the shipper whether all is delivered, by token, and their answers."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._last_token = 0

    def ask(self, *, give_up: bool) -> int:
        """A new question; returns its token."""
        self._last_token += 1
        self._waiting[self._last_token] = _Waiting(give_up)
        return self._last_token

    def question(self, token: int) -> bytes:
        """The question as a frame."""
        return frame(encode(Drain(token, self._waiting[token].give_up)))

    def unanswered(self) -> list[bytes]:
        """All questions without an answer, as frames: a new connection has to be asked again."""
        return [self.question(token) for token, waiting in self._waiting.items() if waiting.outcome is None]

    def answer(self, message: Drained) -> None:
        """What the shipper said; an answer that nobody waits for any more is passed over."""
        if message.token in self._waiting:
            self._waiting[message.token].outcome = Outcome(message.delivered, message.reason)

    def outcome(self, token: int) -> Outcome | None:
        """The answer; None as long as there is none."""
        return self._waiting[token].outcome

    def forget(self, token: int) -> None:
        """Nobody waits for it any more."""
        del self._waiting[token]

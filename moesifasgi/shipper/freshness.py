"""When one part of a policy (configuration, or rules) is asked for again, and which answer counts. Pure.

Every answer to an upload names the newest tag. Behind a balancer nodes can disagree for a while, so:

- a tag among the last two known is no news; nodes that alternate between them cause no request
- unless it is named again and again without the tag in force in between: then the dashboard went back to it
- an answer with another tag than the one it was asked for came from a node that lags: ask again soon, a few
  times, then leave it and remember that tag too
- an older policy replaces a newer one only if that was what was asked for, or all answers agree

A tag that changes all the time without any change in content costs fewer and fewer requests.
"""

from dataclasses import dataclass, field

from moesifasgi.shipper.gate import RETRY_AFTER_SPREAD_S
from moesifasgi.shipper.retry import DEFAULT_BACKOFF, Backoff, backoff_s

KNOWN_TAGS = 2
TRIES = 4
"""How often a node that lags is asked again: 0.5 + 1 + 2 + 4 s."""
NAMED_IN_A_ROW = 5
NAMED_FOR_S = 10.0
"""So many answers, over so long a time, that name an older tag, and none the one in force: it is back."""
_MAX_DOUBLINGS = 7


@dataclass(frozen=True, slots=True)
class PolicyPace:
    """How often the collector is asked for policy, in seconds."""

    poll_s: float = 300.0
    """Between two checks that nothing has caused; give or take ``poll_spread``."""
    poll_spread: float = 0.1
    spacing_s: float = 0.5
    """Least time between two requests for the same part; also the first wait for a node that lags."""
    backoff: Backoff = DEFAULT_BACKOFF
    lasting: Backoff = field(default_factory=lambda: Backoff(base_s=10.0, cap_s=600.0, floor_s=5.0))
    """After an answer that patience alone will not mend: wrong id, no subscription, wrong address."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No usable answer; ``reason`` has no content in it."""

    reason: str
    after_s: float | None = None
    """Seconds that the collector asked to wait."""
    lasting: bool = False


class Freshness:
    """See the module. All times are monotonic seconds, given by the caller."""

    __slots__ = (
        "_asked_at",
        "_earliest",
        "_failures",
        "_fruitless",
        "_older_named",
        "_older_since",
        "_pace",
        "_tries",
        "_wanted",
        "checked_at",
        "due_at",
        "reason",
        "tag",
        "tags",
    )

    def __init__(
        self, pace: PolicyPace, now: float, tag: str | None = None, tags: tuple[str, ...] = ()
    ) -> None:
        """``tag`` and ``tags`` are what an earlier shipper knew. The first check is due at once."""
        self._pace = pace
        self.tag = tag
        """What the answer that is in force called itself; None: nothing."""
        self.tags = tags[:KNOWN_TAGS]
        """The last known; the first is in force."""
        self.due_at = now
        self.checked_at: float | None = None
        """When the collector last gave a usable answer."""
        self.reason = ""
        """Why the last check failed; empty if it did not."""
        self._asked_at = self._earliest = self._older_since = float("-inf")
        self._wanted: str | None = None
        self._tries = self._older_named = self._failures = self._fruitless = 0

    def named(self, tag: str, now: float) -> None:
        """An answer of the collector named this tag as the newest."""
        if self.tags[:1] == (tag,):
            self._older_named = 0
            return
        if tag in self.tags:
            self._older_since = self._older_since if self._older_named else now
            self._older_named += 1
            if self._older_named < NAMED_IN_A_ROW or now - self._older_since < NAMED_FOR_S:
                return
        if tag != self._wanted:
            self._fruitless += self._wanted is not None
            self._wanted, self._tries = tag, 0
            decent = self._asked_at + self._spacing_s(self._failures)
            self.due_at = min(self.due_at, max(now, decent, self._earliest))

    def begin_anew(self, now: float) -> None:
        """It may be another collector now: nothing that was said of tags and waiting counts any more."""
        self.tag, self.tags, self._wanted = None, (), None
        self._failures, self.reason = 0, ""
        self._tries = self._older_named = 0
        self._earliest = float("-inf")
        self.due_at = max(now, self._asked_at + self._pace.spacing_s)

    def answered(self, tag: str | None, *, changed: bool, now: float, random01: float) -> bool:
        """A usable answer with this tag (None: it names none); True if it is to be in force from now on.

        ``changed``: its content is not that in force.
        """
        self._asked_at = self.checked_at = now
        self._failures, self.reason = 0, ""
        known_as = tag or self._wanted
        older = known_as in self.tags[1:] and known_as != self._wanted
        asked_for = not older and self._wanted in (None, known_as)
        enough = asked_for or self._tries >= TRIES
        in_force = not older or enough
        if in_force:
            self.tag = tag
            self._remember(known_as, *self.tags)
        if in_force and changed:
            self._fruitless = 0
        elif enough and self._wanted is not None:
            self._fruitless += 1
        if enough:
            self._rest(now, random01)
        else:
            self.due_at = now + self._spacing_s(self._tries)
            self._tries += 1
        return in_force

    def failed(self, failure: Failed, now: float, random01: float) -> None:
        """No usable answer: what is in force stays so."""
        self._failures += 1
        self._asked_at = now
        self.reason = failure.reason
        backoff = self._pace.lasting if failure.lasting else self._pace.backoff
        wait_s = backoff_s(self._failures, random01, backoff)
        if failure.after_s is not None:
            wait_s = max(backoff.floor_s, failure.after_s + random01 * RETRY_AFTER_SPREAD_S)
            self._earliest = now + wait_s
        self.due_at = now + wait_s

    def _rest(self, now: float, random01: float) -> None:
        """Until the next poll, or a tag that is news."""
        if self._wanted is not None and self._wanted not in self.tags:
            self._remember(*self.tags[:1], self._wanted)
        self._wanted = None
        self._tries = self._older_named = 0
        spread = self._pace.poll_spread * (2 * random01 - 1)
        self.due_at = now + self._pace.poll_s * (1 + spread)

    def _remember(self, *tags: str | None) -> None:
        named = (tag for tag in tags if tag is not None)
        self.tags = tuple(dict.fromkeys(named))[:KNOWN_TAGS]

    def _spacing_s(self, doublings: int) -> float:
        return self._pace.spacing_s * 2.0 ** min(self._fruitless + doublings, _MAX_DOUBLINGS)

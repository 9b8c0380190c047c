"""Whether events arrive at the collector, and if not, what to do about it. Pure: figures in, sentences out.

Reasons make a shipper unhealthy: events do not arrive, or soon will not. Notes are for people to know while
events arrive. Each says what is so, and then what to do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

LATE_S = 60.0
"""Beyond its application's own batch timeout, an event that waits longer than this is late."""
NEARLY_FULL = 0.8
"""Share of the spool's bound from which its filling is told."""


class Advice(Enum):
    """What a person can do; the text ends a reason."""

    WAIT = "it is tried again by itself; if it lasts, look at the network, the proxy and Moesif's own status"
    PARKED = "check this application's id, subscription and BASE_URI; it is tried again every minute"
    SETTINGS = "start one of this application's workers once; its events are kept until then"
    SOCKET = "take away what is there, and see who may write to its directory (systemd's unit: restart it)"
    DISK = "look at the spool's disk: free space, permissions, errors in the kernel's log"
    ROOM = "mend what keeps events from arriving, or give the spool more room"
    BEGINS_AFRESH = "it is started afresh by itself; if that repeats, report the tracebacks in its log"
    LATE = "see `upload` of `moesif-shipper status --json` for what the collector answers"
    DEAD_LETTERS = "`moesif-shipper dead-letters list` says why the collector refuses them"
    POLICY = "what was fetched last stays in force; check that this host reaches the collector"
    BACKLOG = "nothing is to be done"


class Reason(NamedTuple):
    """What is so, and what to do about it."""

    what: str
    advice: Advice

    def __str__(self) -> str:
        return f"{self.what}; {self.advice.value}"


@dataclass(frozen=True, slots=True)
class Figures:
    """The spool and the uploads at one moment. Ages in seconds, sizes in bytes; None: there is none."""

    events: int
    bytes: int
    max_bytes: int
    dead_letters: int
    oldest_age_s: float | None
    last_success_age_s: float | None
    patience_s: float = 0.0
    """The longest batch timeout of an application: so long may an event wait and all be well."""


def reasons(figures: Figures) -> Iterator[Reason]:
    """Why events do not arrive, as far as figures alone can tell."""
    if _is_late(figures) and not _is_moving(figures):
        since = figures.last_success_age_s
        last = "none was delivered yet" if since is None else f"the last was delivered {duration(since)} ago"
        yield Reason(f"the oldest event waits for {duration(figures.oldest_age_s)}, and {last}", Advice.LATE)
    if figures.bytes >= NEARLY_FULL * figures.max_bytes:
        share = figures.bytes / max(1, figures.max_bytes)
        yield Reason(f"the spool is {share:.0%} full; at 100% new events are dropped", Advice.ROOM)


def notes(figures: Figures, *, is_failing: bool) -> Iterator[Reason]:
    """What is worth knowing while events arrive. ``is_failing``: there are reasons, which say more."""
    if _is_late(figures) and not is_failing:
        waits = f"the oldest waits for {duration(figures.oldest_age_s)}"
        yield Reason(f"a backlog of {figures.events:,} events is being delivered, {waits}", Advice.BACKLOG)
    if figures.dead_letters:
        yield Reason(f"{figures.dead_letters:,} events were refused for good, and kept", Advice.DEAD_LETTERS)


def duration(seconds: float | None) -> str:
    """An age for people: the two largest units at most."""
    whole = int(seconds or 0)
    for unit, size, smaller, smaller_size in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole // 60} min" if whole >= 120 else f"{whole} s"


def _is_late(figures: Figures) -> bool:
    return figures.oldest_age_s is not None and figures.oldest_age_s > LATE_S + figures.patience_s


def _is_moving(figures: Figures) -> bool:
    since = figures.last_success_age_s
    return since is not None and since <= LATE_S + figures.patience_s

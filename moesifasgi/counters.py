"""One number per fate of an event in the worker, so that none can get lost without a trace.

What lives here: the numbers and the identity they obey (conservation):

    captured = skipped + sampled_out + Σ dropped.<reason> + acked + in the ring + in hooks

What this file must not know: who counts, and when. Update calls (users, companies, actions ...) count as
captured too, since they share the ring and its acknowledgements.
"""

import threading
from typing import Literal, get_args

Fate = Literal["captured", "skipped", "sampled_out", "acked"]
"""Where an event can end; ``dropped`` has a reason, see ``Counters.drop``.

- captured: an exchange (or an update call) of which an event is to be made; all others are subsets of it.
- skipped: the SKIP function or an exclusion setting said no.
- sampled_out: not kept by the sample rate.
- acked: the shipper has taken responsibility for it.
"""
Trouble = Literal[
    "hook_failed",
    "hook_timed_out",
    "hook_crowded_out",
    "hook_overran",
    "withheld",
    "blocked",
    "governance_failed",
]
"""What happened beside an event's fate; not part of the identity.

- hook_failed: a user's function raised, or returned what it may not return.
- hook_timed_out: an asynchronous function was cancelled at HOOK_TIMEOUT, or when the worker ended.
- hook_crowded_out: it was not waited for, because too many events waited already.
- hook_overran: a function that nothing could interrupt (synchronous, or one that never awaits) took longer
  than HOOK_TIMEOUT.
- withheld: a mask failed or could not see a body, so the event goes without what it might have removed.
- blocked: a governance rule answered the request.
- governance_failed: a request passed without governance rules, or their headers, because of an error of ours.
"""

_DROPPED = "dropped."
_KNOWN: tuple[str, ...] = (*get_args(Fate), *get_args(Trouble))


class Counters:
    """The worker's counters. Any thread may use them; literal names are cheaper here than enum members."""

    __slots__ = ("_lock", "_numbers")

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """All zero, with a lock that nobody holds: for a forked child, before it counts anything."""
        self._lock = threading.Lock()
        self._numbers = dict.fromkeys(_KNOWN, 0)

    def add(self, name: Fate | Trouble, number: int = 1) -> None:
        """Count ``number`` more of ``name``."""
        # Not `with`: it makes this call half as dear again (measured on 3.11), and it is on the request path.
        self._lock.acquire()
        try:
            self._numbers[name] += number
        finally:
            self._lock.release()

    def drop(self, reason: str, number: int = 1) -> None:
        """Count ``number`` events as dropped. A reason is a word of the code's, never data of a request."""
        name = _DROPPED + reason
        with self._lock:
            self._numbers[name] = self._numbers.get(name, 0) + number

    def snapshot(self) -> dict[str, int]:
        """All numbers of one moment; the dropped ones as ``dropped.<reason>``."""
        with self._lock:
            return dict(self._numbers)

    def difference(self, in_ring: int, in_hooks: int) -> int:
        """What the identity leaves unexplained: 0 when nothing is under way.

        Above 0, events went missing; below, some were counted twice. ``in_ring`` and ``in_hooks`` are the
        events that wait for an acknowledgement and for the user's functions.
        """
        numbers = self.snapshot()
        ended = numbers["skipped"] + numbers["sampled_out"] + numbers["acked"]
        dropped = sum(number for name, number in numbers.items() if name.startswith(_DROPPED))
        return numbers["captured"] - ended - dropped - in_ring - in_hooks

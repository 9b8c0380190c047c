"""T3: every way in which a worker of every server ends. Nothing is lost, and it takes no longer than it may.

What was found is kept in ``docs/servers.json``, of which README's table is made.
"""

import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.setups import SETUPS, Setup, Way

from campaigns.lives import CONNECTIONS, SHUTDOWN_TIMEOUT_S, Life, Trouble, exit_without, live
from campaigns.scene import Finding
from campaigns.servers_table import keep

COUNT = 1
TRANSPORTS = ("auto", "queue")
"""Each is a row of its own in the table."""
_WITHOUT_SHIPPER = (Trouble.SHIPPER_STARTING, Trouble.SHIPPER_ABSENT)
"""What cannot be where the master starts one before its workers."""
MORE_S = 1.0
"""How much longer an end may take where shipper or collector is dead; with both alive, SHUTDOWN_TIMEOUT."""
NOISE_S = 0.5
"""By which two ends of the same server differ on a busy machine."""


NO_LIFE = Life(answered=0, lost=0, duplicates=0, invalid=0, exit_s=0.0, processes_left=(), files_left=0)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to try."""

    setup: Setup
    way: Way
    trouble: Trouble
    transport: str

    @property
    def allowed_loss(self) -> int:
        """A killed worker takes what it had answered and not yet offered: one request a connection."""
        return CONNECTIONS if self.way in self.setup.kills else 0

    def __str__(self) -> str:
        return f"{self.setup.name}, {self.way.value}, {self.trouble.value}, {self.transport}"


@dataclass(frozen=True, slots=True)
class Tried:
    """A case, and what came of it."""

    case: Case
    life: Life
    exit_without_s: float
    fault: str = ""
    """Why it could not be tried to its end."""

    @property
    def more_s(self) -> float:
        """How much longer the end took than without us."""
        return self.life.exit_s - self.exit_without_s

    @property
    def loses_nothing(self) -> bool:
        """As far as it must not."""
        life = self.life
        if self.fault:
            return False
        kept = life.lost <= self.case.allowed_loss and not life.invalid
        return kept and life.answered > 0 and not (life.processes_left or life.files_left)

    def is_timely(self, noise_s: float) -> bool:
        """Whether the end took no longer than it may."""
        allowed_s = SHUTDOWN_TIMEOUT_S if self.case.trouble is Trouble.NOTHING else MORE_S
        return self.more_s <= allowed_s + noise_s


def cases(setup: Setup, transports: Iterable[str] = TRANSPORTS) -> Iterator[Case]:
    """All ways with all well, and the usual end in all troubles."""
    for transport in filter(setup.can_have, transports):
        for way in setup.ways:
            yield Case(setup, way, Trouble.NOTHING, transport)
        for trouble in Trouble:
            possible = transport != "queue" or trouble not in _WITHOUT_SHIPPER
            if trouble is not Trouble.NOTHING and possible:
                yield Case(setup, Way.SIGTERM, trouble, transport)


def tried(case: Case) -> Tried:
    """The case, and the same end without us."""
    try:
        without_s = exit_without(case.setup, case.way)
        return Tried(case, live(case.setup, case.way, case.trouble, case.transport), without_s)
    except AssertionError as error:
        return Tried(case, NO_LIFE, 0.0, str(error))


def all_tried(several: Iterable[Case], at_once: int) -> list[Tried]:
    """Cases, so many at a time: most of a life is waiting."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(tried, several))


def run(count: int, rng: random.Random) -> Finding:
    """All cases of all servers, ``count`` times."""
    wanted = [case for _ in range(count) for setup in SETUPS for case in cases(setup)]
    rng.shuffle(wanted)
    found = all_tried(wanted, at_once=2)
    failed = [
        f"{each.case}: {each.fault or each.life}"
        for each in found
        if not (each.loses_nothing and each.is_timely(NOISE_S))
    ]
    keep(found)
    return Finding(
        "T3",
        f"{len(found)} ends of {len(SETUPS)} servers",
        sum(each.life.answered for each in found),
        sum(each.life.lost for each in found),
        sum(each.life.duplicates for each in found),
        f"at most {max(each.more_s for each in found):.2f} s longer than without us"
        + "".join(f"; NOT {each}" for each in failed),
        not failed,
    )

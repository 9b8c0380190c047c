"""T9, held: the shipper is away for a minute in each way, on all servers at once; nothing is lost."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.setups import SETUPS, Setup

from campaigns.scene import Finding
from campaigns.t09_shipper_away import FAULTS, RESUMES_S, away, lost_at_last, stage

COUNT = 1
HOLD_S = 60.0
REQUESTS = 20
"""At the start of each fault; a handful follows twice a second."""


@dataclass(frozen=True, slots=True)
class Held:
    """What came of one server."""

    name: str
    answered: int
    lost: int
    resumed_s: float
    fault: str = ""


def held(setup: Setup, hold_s: float, begins_s: float) -> Held:
    """Each fault once, for so long, and the first so much later: what each server kept comes by itself."""
    time.sleep(begins_s)
    try:
        with stage(setup) as on:
            kinds = [away(on, name, 1, REQUESTS, hold_s) for name in FAULTS]
            lost = lost_at_last(on)
            return Held(setup.name, len(on.answered), lost, max(kind.resumed_s for kind in kinds))
    except AssertionError as error:
        return Held(setup.name, 0, 0, 0.0, str(error))


def run(count: int, rng: random.Random) -> Finding:
    """All servers at once: they have little to do."""
    with ThreadPoolExecutor(len(SETUPS)) as pool:
        late = HOLD_S / len(SETUPS)
        found = list(pool.map(lambda at: held(SETUPS[at], HOLD_S * count, late * at), range(len(SETUPS))))
    holds = all(not each.fault and not each.lost and each.resumed_s <= RESUMES_S for each in found)
    slowest = max(found, key=lambda each: each.resumed_s)
    remark = f"events again after {slowest.resumed_s:.2f} s at most ({slowest.name})" + "".join(
        f"; NOT {each}" for each in found if each.fault or each.lost or each.resumed_s > RESUMES_S
    )
    answered, lost = sum(each.answered for each in found), sum(each.lost for each in found)
    done = f"shipper away for {HOLD_S * count:.0f} s in {len(FAULTS)} ways on {len(found)} servers"
    return Finding("T9-held", done, answered, lost, 0, remark, holds)

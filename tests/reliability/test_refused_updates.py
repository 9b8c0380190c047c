"""T7 for updates: after a time in which everything was refused, the newest value is still the last."""

import pytest
from lab.scripted_uploads import ScriptedUploads
from lab.stepped import SteppedClock, SteppedDelivery, applications, identified

from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Chunk, Item, Lane
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.messages import Kind

UPDATES = 60
PACE = Pace(max_refused_run=3)
SESSION = b"s" * 16
APPLICATION = applications(1)[0]
USERS = Lane(APPLICATION.application_id, "users")


class Desk:
    """Delivery of user updates that are numbered from 1; a turn a probe."""

    def __init__(self, bad: range = range(0)) -> None:
        self.clock, self.uploads = SteppedClock(), ScriptedUploads()
        self.spool = MemorySpool(clock=self.clock.wall)
        registry = Registry(self.spool)
        registry.learn(APPLICATION)
        self.delivery = SteppedDelivery(self.spool, registry, self.uploads, clock=self.clock, pace=PACE)
        numbers = range(1, UPDATES + 1)
        payloads = [identified(f"{number:036}", poison=number in bad) for number in numbers]
        chunks = [
            Chunk(USERS, SESSION, (number,), (Item(Kind.USER, payload),))
            for number, payload in zip(numbers, payloads, strict=True)
        ]
        self.spool.append(chunks, {SESSION: UPDATES})

    def run(self, answer: int, turns: int) -> None:
        self.uploads.answer = answer
        for _ in range(turns):
            self.clock.advance(PACE.probe_s + 1.0)
            self.delivery.turn()

    def last_words(self) -> list[int]:
        """What the collector has, in the order in which it last heard of each."""
        taken = [int(item["transaction_id"]) for _, item in self.uploads.taken]
        return sorted(
            set(taken), key=lambda number: max(at for at, each in enumerate(taken) if each == number)
        )


def test_updates_keep_their_order_through_a_time_in_which_all_was_refused() -> None:
    """Decision 6: updates of users, companies and subscriptions keep their order."""
    desk = Desk()
    desk.run(400, 30)
    assert desk.delivery.refuses_all
    desk.run(201, 60)
    assert desk.last_words() == list(range(PACE.max_refused_run, UPDATES + 1))
    assert len(desk.uploads.taken) == len(desk.last_words()) + 1, "one probe was a copy"
    totals = desk.spool.totals()
    assert (totals.delivered, totals.dead_lettered) == (UPDATES - 2, 2)


@pytest.mark.parametrize("bad", [range(3, 10), range(50, UPDATES + 1)], ids=["the oldest", "the newest"])
def test_bad_updates_do_not_hold_up_the_good_ones_when_the_collector_is_back(bad: range) -> None:
    desk = Desk(bad)
    desk.run(400, 12)
    assert desk.delivery.refuses_all
    desk.run(201, 150)
    good = [number for number in range(PACE.max_refused_run, UPDATES + 1) if number not in bad]
    assert desk.last_words() == good
    assert desk.spool.totals().delivered == len(good)

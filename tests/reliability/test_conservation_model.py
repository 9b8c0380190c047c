"""T18: conservation as a property. Workers, shippers and spools, real but for their threads, live through
random histories of faults; after each step both identities hold, and at the end every event is somewhere.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lab.counts import count_of, seed_of
from lab.scripted_uploads import Answer
from lab.world import World

from moesifasgi.wire.messages import Kind

HISTORIES = 150
"""Of each kind of spool."""
STEPS = 40
KINDS = [Kind.EVENT, Kind.USER, Kind.COMPANY, Kind.ACTION]
ANSWERS: list[Answer] = [201, 201, 201, 201, 400, 401, 413, 429, 500, "raises", "reply lost"]
WAY: list[Callable[[World, int], object]] = [
    lambda world, number: world.connect(number),
    lambda world, number: world.worker(number).flow(),
    lambda world, number: world.shipper.read(),
    lambda world, number: world.shipper.receiver.commit(),
    lambda world, number: world.shipper.receiver.acknowledge(),
    lambda world, number: world.worker(number).flow(),
]
"""A frame's way from a worker's ring until the worker forgets it; a history may stop after any part."""
TROUBLES: list[Callable[[World, int], object]] = [
    lambda world, number: world.connect_again(number),
    lambda world, number: world.worker(number).lose(),
    lambda world, number: world.tear(number, after_bytes=number),
    lambda world, number: world.break_in_a_frame(number),
    lambda world, number: world.kill_worker(number),
    lambda world, number: world.die_with_last_words_unread(number),
    lambda world, number: world.leave_worker(number),
    lambda world, number: world.fork_worker(),
    lambda world, number: world.worker(number).leave_queue(),
    lambda world, number: world.worker(number).report(),
    lambda world, number: world.shipper.adopt(world.left),
    lambda world, number: world.restart_shipper(),
    lambda world, number: world.restart_shipper("b" if world.name == "a" else "a"),
    lambda world, number: world.wipe(),
    lambda world, number: world.store_on_a_full_disk(number),
    lambda world, number: world.deliver_on_a_full_disk(),
    lambda world, number: world.damage(number),
    lambda world, number: world.grow_old(),
]
pytestmark = pytest.mark.timeout(1_800)
"""A failed history is made shorter, which takes its time; so do the campaign's counts."""


@pytest.fixture(autouse=True, scope="module")
def no_naps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moesifasgi.shipper.receiver.unix.NAP_S", 0.0)
        yield


class History(RuleBasedStateMachine):
    """Spools in memory, which live on when their shipper is killed. A failed history prints its steps."""

    durable = False
    world: World

    @initialize(batch_size=st.sampled_from([None, 2]), queue=st.booleans())
    def begin(self, batch_size: int | None, queue: bool) -> None:
        self.world = World(durable=self.durable, batch_size=batch_size, queue=queue)
        # Hypothesis leaves rules out of whole histories; one without any event would tell nothing.
        for number, kind in enumerate((Kind.EVENT, Kind.USER, Kind.USER)):
            self.capture(count=3, key=0, kind=kind, number=number, parts=number, poison=False, size=0)

    @rule(
        number=st.integers(0, 5),
        count=st.integers(1, 8),
        kind=st.sampled_from(KINDS),
        key=st.integers(0, 1),
        size=st.sampled_from([0, 10, 1_500]),
        poison=st.integers(0, 9).map(lambda drawn: drawn == 9),
        parts=st.integers(0, len(WAY)).map(lambda drawn: len(WAY) - drawn),
    )
    def capture(
        self, count: int, key: int, kind: Kind, number: int, parts: int, poison: bool, size: int
    ) -> None:
        self.world.capture_what_is_not_wanted(number)
        for _ in range(count):
            self.world.capture(number, kind, key, size, poison=poison)
        for part in WAY[:parts]:
            part(self.world, number)

    @rule(number=st.integers(0, 5), part=st.sampled_from(WAY))
    def take_one_part_of_the_way(self, number: int, part: Callable[[World, int], object]) -> None:
        part(self.world, number)

    @rule(number=st.integers(0, 300), trouble=st.sampled_from(TROUBLES))
    def suffer(self, number: int, trouble: Callable[[World, int], object]) -> None:
        trouble(self.world, number)

    @rule(
        answer=st.sampled_from(ANSWERS),
        seconds=st.sampled_from([2.0, 2.0, 0.0, 0.3, 400.0]),
        turns=st.integers(1, 4),
    )
    def deliver(self, answer: Answer, seconds: float, turns: int) -> None:
        self.world.uploads.answer = answer
        for _ in range(turns):
            self.world.clock.advance(seconds)
            self.world.deliver()

    @invariant()
    def nothing_is_stored_twice_and_both_identities_hold(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        try:
            self.world.heal()
        finally:
            self.world.close()


class DurableHistory(History):
    """Spools in files; what a killed shipper leaves is its files as they were."""

    durable = True


for machine in (History, DurableHistory):
    seed(seed_of())(machine)
    machine.TestCase.settings = settings(
        max_examples=count_of(HISTORIES),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
TestHistory = History.TestCase
TestDurableHistory = DurableHistory.TestCase

"""T16: the wall clock jumps by a day, both ways. Nothing expires early, nothing is retried in a storm."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from lab.counts import count_of
from lab.scripted_uploads import Answer, ScriptedUploads
from lab.stepped import SteppedClock, SteppedDelivery, applications, identified

from moesifasgi.shipper.daemon import SESSION_KEPT_S
from moesifasgi.shipper.delivery import MAX_AGE_S
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.retry import Backoff
from moesifasgi.shipper.serving import owned_spool
from moesifasgi.shipper.spool import Chunk, Item, Lane, Spool
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
from moesifasgi.wire.messages import Kind

DAY_S = 86_400.0
JUMPS = 200
STEP_S = 0.25
PACE = Pace(Backoff(base_s=1.0, cap_s=8.0, floor_s=1.0))
SESSION = b"s" * 16
APPLICATION = applications(1)[0]
EVENTS = Lane(APPLICATION.application_id, "events")

JUMPING: dict[str, Callable[[int], float]] = {
    "forward": lambda step: DAY_S,
    "back": lambda step: -DAY_S,
    "to and fro": lambda step: DAY_S if step % 2 else -DAY_S,
    "ever further": lambda step: DAY_S * step,
    "ever further back": lambda step: -DAY_S * step,
}
jumping = pytest.mark.parametrize("jump", JUMPING.values(), ids=JUMPING.keys())


class Desk:
    """Delivery over a spool, both on one clock that the test moves."""

    def __init__(self, spool: Spool, clock: SteppedClock, answer: Answer = 201) -> None:
        self.spool, self.clock, self.uploads = spool, clock, ScriptedUploads()
        self.uploads.answer = answer
        registry = Registry(spool)
        registry.learn(APPLICATION)
        self.delivery = SteppedDelivery(spool, registry, self.uploads, clock=clock, pace=PACE)
        self._numbers = itertools.count(1)

    def append(self) -> None:
        number = next(self._numbers)
        item = Item(Kind.EVENT, identified(f"{number:036}", poison=False))
        self.spool.append([Chunk(EVENTS, SESSION, (number,), (item,))], {SESSION: number})
        self.delivery.notify()

    def run(self, seconds: float, jump: Callable[[int], float] = lambda step: 0.0) -> list[float]:
        """Let time pass, with a jump before each step; returns when something was uploaded."""
        uploads = []
        for step in range(round(seconds / STEP_S)):
            self.clock.jumped_s = jump(step)
            self.clock.passed_s += STEP_S
            before = self.uploads.attempts
            self.delivery.turn()
            uploads += [self.clock.passed_s] * (self.uploads.attempts - before)
        return uploads


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest) -> Iterator[Callable[..., Desk]]:
    with ExitStack() as stack:

        def make(answer: Answer = 201) -> Desk:
            clock = SteppedClock()
            if request.param == "memory":
                return Desk(MemorySpool(clock=clock.wall), clock, answer)
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            spool = open_spool(
                directory, max_bytes=1 << 30, min_free_bytes=0, durability="normal", clock=clock.wall
            )
            stack.callback(spool.close)
            return Desk(spool, clock, answer)

        yield make


@jumping
def test_a_failing_collector_is_asked_no_sooner_and_no_later_than_without_jumps(
    jump: Callable[[int], float], desk: Callable[..., Desk]
) -> None:
    """No retry storm, and no outage that is taken to last a day."""
    seconds = count_of(JUMPS) * STEP_S
    steady, jumpy = desk(503), desk(503)
    steady.append()
    jumpy.append()
    uploads = jumpy.run(seconds, jump)
    assert uploads == steady.run(seconds)
    assert len(uploads) > seconds / 20
    gaps = [later - earlier for earlier, later in itertools.pairwise(uploads)]
    assert min(gaps) >= PACE.backoff.floor_s


@jumping
def test_an_event_leaves_after_its_batch_timeout_whatever_the_wall_clock_says(
    jump: Callable[[int], float], desk: Callable[..., Desk]
) -> None:
    jumpy = desk()
    jumpy.delivery.turn()
    began = jumpy.clock.passed_s
    jumpy.append()
    (uploaded,) = jumpy.run(3.0, jump)
    assert 1.0 <= uploaded - began <= 1.0 + 2 * STEP_S


@pytest.mark.parametrize(
    ("first", "then", "margin_s"),
    [
        (0.0, DAY_S, DAY_S / 2),
        (0.0, -DAY_S, DAY_S / 2),
        (DAY_S, 0.0, DAY_S / 2),
        (DAY_S, -DAY_S, DAY_S / 2),
        # What came while the clock was a day behind looks a day older when it is set right.
        (-DAY_S, 0.0, DAY_S * 1.5),
        (-DAY_S, DAY_S, DAY_S * 1.5),
    ],
)
def test_nothing_expires_before_its_time(
    first: float, then: float, margin_s: float, desk: Callable[..., Desk]
) -> None:
    """What came under one clock, and is delivered under another."""
    jumpy = desk(503)
    jumpy.clock.jumped_s = first
    jumpy.append()
    jumpy.run(1.0, lambda step: then)
    jumpy.clock.passed_s += MAX_AGE_S - margin_s
    jumpy.run(20.0, lambda step: then)
    assert (jumpy.spool.usage().events, jumpy.spool.totals().dropped) == (1, {})
    jumpy.uploads.answer = 201
    jumpy.run(20.0, lambda step: then)
    assert jumpy.spool.totals().delivered == 1


def test_what_is_too_old_still_goes_after_a_jump_back(desk: Callable[..., Desk]) -> None:
    """A clock that was set right must not keep for ever what came before."""
    jumpy = desk(503)
    jumpy.append()
    jumpy.run(1.0)
    jumpy.clock.passed_s += MAX_AGE_S + DAY_S
    jumpy.uploads.answer = 201
    jumpy.append()
    jumpy.run(10.0, lambda step: -DAY_S + 2.0)
    assert jumpy.spool.totals().dropped.keys() <= {"expired"}
    assert jumpy.spool.usage().events == 0


@jumping
def test_ages_are_never_below_nothing(jump: Callable[[int], float], desk: Callable[..., Desk]) -> None:
    jumpy = desk(503)
    jumpy.append()
    for step in range(10):
        jumpy.run(STEP_S, lambda _, step=step: jump(step))  # type: ignore[misc]
        oldest_s = jumpy.spool.usage().oldest_age_s
        assert oldest_s is not None
        assert oldest_s >= 0
        entry = next(iter(jumpy.delivery.status()["applications"].values()))
        assert (entry["next_attempt_in_seconds"] or 0.0) <= PACE.backoff.cap_s


def test_a_jump_forward_ages_nothing_in_the_spool_that_a_shipper_opens_and_forgets_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that was forgotten too early could store its frames twice when its worker comes back."""
    clock = SteppedClock()
    monkeypatch.setattr("moesifasgi.shipper.serving.Clock", lambda: clock)
    with closing(owned_spool(Options(tmp_path, tmp_path / "s.sock", embedded=False))) as spool:
        item = Item(Kind.EVENT, identified("", poison=False))
        spool.append([Chunk(EVENTS, SESSION, (1,), (item,))], {SESSION: 1})
        clock.jumped_s = SESSION_KEPT_S + 1.0
        assert spool.usage().oldest_age_s == 0
        assert spool.forget_sessions(SESSION_KEPT_S, frozenset()) == 0
        clock.passed_s += SESSION_KEPT_S + 1.0
        assert spool.forget_sessions(SESSION_KEPT_S, frozenset()) == 1


@pytest.mark.parametrize("wrong_s", [-50 * 365 * DAY_S, -31 * DAY_S, 31 * DAY_S])
def test_a_clock_that_was_wrong_when_the_shipper_started_costs_nothing_at_the_next_start(
    wrong_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No clock of its own at boot; or the system slept for a month, which no monotonic clock shows."""
    options = Options(tmp_path, tmp_path / "s.sock", embedded=False)

    def shipper(clock: SteppedClock) -> Desk:
        monkeypatch.setattr("moesifasgi.shipper.serving.Clock", lambda: clock)
        return Desk(owned_spool(options), clock, 503)

    clock = SteppedClock(jumped_s=wrong_s)
    first = shipper(clock)
    clock.jumped_s = 0.0  # It was set right.
    first.append()
    first.run(1.0)
    assert first.spool.usage().events == 1
    first.spool.close()
    with closing(shipper(SteppedClock()).spool) as spool:
        second = Desk(spool, SteppedClock(), 201)
        second.delivery.notify()
        second.run(5.0)
        totals = spool.totals()
        assert (totals.delivered, totals.dropped) == (1, {})
        # Nor is the session forgotten: its worker may still be there.
        assert spool.forget_sessions(SESSION_KEPT_S, frozenset()) == 0


def test_what_came_before_a_machine_knew_the_time_is_delivered_by_the_next_shipper(tmp_path: Path) -> None:
    """It starts in 1970, as one without a clock of its own does. What came then is not 50 years old."""
    now = [3_600.0]

    def opened() -> SqliteSpool:
        return open_spool(
            tmp_path, max_bytes=1 << 30, min_free_bytes=0, durability="normal", clock=lambda: now[0]
        )

    with closing(opened()) as spool:
        item = Item(Kind.EVENT, identified("", poison=False))
        spool.append([Chunk(EVENTS, SESSION, (1,), (item,))], {SESSION: 1})
        assert spool.peek(EVENTS, 0, 1)[0].appended_at == 3_600.0
    now[0] = SteppedClock().wall()
    with closing(opened()) as spool:
        assert spool.peek(EVENTS, 0, 1)[0].appended_at == now[0]
        now[0] += 60.0
        assert spool.usage().oldest_age_s == 60.0

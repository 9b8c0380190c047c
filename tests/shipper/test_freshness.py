"""When a part of a policy is asked for again: tags, lagging nodes, failures. Times are plain numbers here."""

import random

import pytest

from moesifasgi.shipper.freshness import NAMED_FOR_S, NAMED_IN_A_ROW, TRIES, Failed, Freshness, PolicyPace
from moesifasgi.shipper.retry import Backoff

PACE = PolicyPace(
    poll_s=300.0,
    poll_spread=0.1,
    spacing_s=0.5,
    backoff=Backoff(base_s=1.0, cap_s=300.0, floor_s=1.0),
    lasting=Backoff(base_s=10.0, cap_s=600.0, floor_s=5.0),
)


class Source:
    """A part and the answers that it gets, by a clock that only moves when told."""

    def __init__(self, *tags: str) -> None:
        self.now = 1000.0
        self.freshness = Freshness(PACE, self.now)
        self.asked = 0
        for tag in tags:
            self.answer(tag)

    def answer(self, tag: str | None, *, changed: bool = True) -> bool:
        """The next request is made when it is due, and answered so; whether the answer is in force."""
        self.now = max(self.now, self.freshness.due_at)
        self.asked += 1
        return self.freshness.answered(tag, changed=changed, now=self.now, random01=0.5)

    def fail(self, **failure: object) -> float:
        """The next request fails; returns seconds to the one after it."""
        self.now = max(self.now, self.freshness.due_at)
        self.freshness.failed(Failed("why", **failure), self.now, 0.5)
        return self.wait_s

    def named(self, *tags: str, every_s: float = 1.0) -> None:
        for tag in tags:
            self.now += every_s
            self.freshness.named(tag, self.now)

    @property
    def wait_s(self) -> float:
        return self.freshness.due_at - self.now

    @property
    def is_due(self) -> bool:
        return self.wait_s <= 0

    @property
    def is_resting(self) -> bool:
        return self.wait_s > PACE.poll_s / 2


def test_the_first_check_is_due_at_once_and_the_next_after_the_poll() -> None:
    source = Source()
    assert source.is_due
    source.answer("a")
    assert source.wait_s == 300.0


@pytest.mark.parametrize(("random01", "wait_s"), [(0.0, 270.0), (0.5, 300.0), (1.0, 330.0)])
def test_polls_are_spread_by_a_tenth(random01: float, wait_s: float) -> None:
    freshness = Freshness(PACE, 0.0)
    freshness.answered("a", changed=True, now=0.0, random01=random01)
    assert freshness.due_at == pytest.approx(wait_s)


def test_a_tag_that_is_news_is_asked_for_at_once() -> None:
    source = Source("a")
    source.named("a", "b")
    assert source.is_due
    assert source.answer("b")
    assert source.is_resting
    assert source.freshness.tags == ("b", "a")


def test_requests_keep_their_distance() -> None:
    source = Source("a")
    source.named("b", every_s=0.1)
    assert source.wait_s == pytest.approx(0.4)


def test_nodes_that_disagree_cause_no_request() -> None:
    source = Source("a", "b")
    source.named(*["a", "b"] * 1000, every_s=0.01)
    source.named(*["a"] * (NAMED_IN_A_ROW - 1), "b", *["a"] * (NAMED_IN_A_ROW - 1), every_s=5.0)
    source.named("b", *["a"] * 100, every_s=NAMED_FOR_S / 101)
    assert source.is_resting


def test_going_back_to_an_older_policy_is_noticed() -> None:
    source = Source("a", "b")
    source.named(*["a"] * NAMED_IN_A_ROW, every_s=NAMED_FOR_S / (NAMED_IN_A_ROW - 1))
    assert source.is_due
    assert source.answer("a")
    assert source.freshness.tags == ("a", "b")
    assert source.is_resting


def test_a_node_that_lags_is_asked_again_a_few_times_and_then_left() -> None:
    source = Source("a")
    source.named("b")
    waits = []
    for _ in range(TRIES):
        source.answer("a", changed=False)
        waits.append(source.wait_s)
    source.answer("a", changed=False)
    assert waits == [0.5, 1.0, 2.0, 4.0]
    assert source.is_resting
    source.named("b", "a", "b")
    assert source.is_resting
    assert source.freshness.tag == "a"


def test_a_node_that_lags_is_left_as_soon_as_another_has_the_news() -> None:
    source = Source("a")
    source.named("b")
    source.answer("a", changed=False)
    assert source.answer("b")
    assert source.is_resting


def test_what_was_left_is_asked_for_again_when_nothing_else_is_named_any_more() -> None:
    source = Source("a")
    source.named("b")
    for _ in range(TRIES + 1):
        source.answer("a", changed=False)
    source.named(*["b"] * NAMED_IN_A_ROW, every_s=NAMED_FOR_S)
    assert source.is_due
    assert source.answer("b")


def test_a_poll_that_meets_a_lagging_node_does_not_bring_back_the_older_policy() -> None:
    source = Source("a", "b")
    assert not source.answer("a")
    assert source.wait_s == 0.5
    assert source.answer("b", changed=False)
    assert source.is_resting
    assert source.freshness.tag == "b"


def test_an_older_policy_is_put_back_when_all_answers_agree_on_it() -> None:
    source = Source("a", "b")
    assert [source.answer("a") for _ in range(TRIES + 1)] == [False] * TRIES + [True]
    assert source.freshness.tag == "a"
    assert source.is_resting


def test_newer_news_than_was_asked_for_are_put_in_force_at_once() -> None:
    source = Source("a")
    source.named("b")
    assert source.answer("c")
    assert source.freshness.tag == "c"


def test_tags_that_always_change_cost_fewer_and_fewer_requests() -> None:
    source = Source("a")
    for number in range(20_000):
        source.named(f"upload {number}", every_s=0.1)
        if source.is_due:
            source.answer(f"answer {number}", changed=False)
    assert source.asked < 60


def test_tags_that_change_with_every_answer_but_not_the_content_cost_fewer_and_fewer_too() -> None:
    source = Source("a")
    for number in range(3_000):
        source.named(f"{number}", every_s=0.6)
        if source.is_due:
            source.answer(f"{number}", changed=False)
    assert source.asked < 60


def test_a_change_in_content_ends_that_patience() -> None:
    source = Source("a")
    for number in range(1000):
        source.named(f"upload {number}", every_s=0.1)
        if source.is_due:
            source.answer(f"upload {number}", changed=False)
    source.now = source.freshness.due_at
    source.answer("changed")
    source.named("news", every_s=1.0)
    assert source.is_due


def test_answers_without_a_tag_count_and_end_what_was_asked_for() -> None:
    source = Source()
    assert source.answer(None)
    source.named("b")
    assert source.answer(None)
    assert source.is_resting
    assert source.freshness.tag is None
    source.named("b")
    assert source.is_resting


def test_failures_are_met_with_more_and_more_patience() -> None:
    source = Source("a")
    assert [source.fail() for _ in range(10)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 150.0, 150.0]
    assert source.freshness.reason == "why"
    source.answer("a", changed=False)
    assert source.freshness.reason == ""
    assert source.fail() == 1.0


def test_there_is_never_less_than_a_second_between_failures() -> None:
    freshness, now = Freshness(PACE, 0.0), 0.0
    chance = random.Random(1)
    for _ in range(200):
        freshness.failed(Failed("why"), now, chance.random())
        assert freshness.due_at - now >= 1.0
        now = freshness.due_at


def test_a_refusal_is_met_with_more_patience_than_a_fault() -> None:
    assert [Source("a").fail(lasting=lasting) for lasting in (False, True)] == [1.0, 10.0]


def test_a_retry_after_is_obeyed_even_when_there_are_news() -> None:
    source = Source("a")
    assert source.fail(after_s=60.0) == 60.5
    source.named("b")
    assert source.wait_s == 59.5


def test_news_shorten_the_patience_with_a_collector_that_evidently_answers_again() -> None:
    source = Source("a")
    for _ in range(4):
        source.fail()
    source.named("b")
    assert source.wait_s == 7.0
    source.named("b", "b")
    assert source.wait_s == 5.0


def test_another_way_to_the_collector_is_tried_at_once() -> None:
    source = Source("a")
    source.fail(after_s=3000.0)
    source.now += 1.0
    source.freshness.begin_anew(source.now)
    assert source.is_due
    assert (source.freshness.reason, source.freshness.tag) == ("", None)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_requests_keep_their_distance_and_go_on(seed: int) -> None:
    chance = random.Random(seed)
    freshness, now = Freshness(PACE, 0.0), 0.0
    asked_at = float("-inf")
    for _ in range(2000):
        now += chance.choice([0.01, 0.3, 2.0, 30.0])
        if chance.random() < 0.5:
            freshness.named(chance.choice("abcd"), now)
        if now >= freshness.due_at:
            assert now - asked_at >= PACE.spacing_s
            asked_at = now
            if chance.random() < 0.3:
                freshness.failed(Failed("why", chance.choice([None, 5.0])), now, chance.random())
            else:
                tag = chance.choice(["a", "b", "c", None])
                freshness.answered(tag, changed=chance.random() < 0.5, now=now, random01=chance.random())
        assert freshness.due_at - now <= PACE.lasting.cap_s
        assert len(freshness.tags) <= 2

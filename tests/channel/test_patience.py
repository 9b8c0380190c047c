"""How long a drain is waited for, without a clock."""

import pytest

from moesifasgi.channel.drains import PATIENCE_S, STARTING_PATIENCE_S, Patience

WAITING = Patience(begun=100.0, timeout_s=5.0, give_up=True)


def reason(patience: Patience, now: float, last_heard: float = 0.0, *, starting: bool = False) -> str | None:
    verdict = patience.verdict(now, last_heard, starting=starting)
    assert verdict is None or not verdict.delivered
    return None if verdict is None else verdict.reason


def test_without_a_sign_of_life_a_leaving_worker_gives_up_soon():
    assert reason(WAITING, 100.0 + PATIENCE_S - 0.01) is None
    assert reason(WAITING, 100.0 + PATIENCE_S) == "no shipper answers"


def test_each_sign_of_life_is_worth_the_whole_patience_again():
    assert reason(WAITING, 103.0, last_heard=103.0 - PATIENCE_S + 0.01) is None
    assert reason(WAITING, 103.0, last_heard=103.0 - PATIENCE_S) == "no shipper answers"


def test_a_shipper_that_is_being_started_has_more_time():
    assert reason(WAITING, 100.0 + PATIENCE_S, starting=True) is None
    assert reason(WAITING, 100.0 + STARTING_PATIENCE_S, starting=True) == "no shipper answers"


@pytest.mark.parametrize("give_up", [True, False])
def test_nobody_waits_beyond_the_time_limit_whatever_is_heard(give_up: bool):
    patience = Patience(begun=100.0, timeout_s=5.0, give_up=give_up)
    assert reason(patience, 104.9, last_heard=104.9) is None
    assert reason(patience, 105.0, last_heard=105.0) == "not delivered within 5 s"


def test_who_does_not_give_up_waits_in_silence_too():
    assert reason(Patience(begun=100.0, timeout_s=60.0, give_up=False), 150.0) is None

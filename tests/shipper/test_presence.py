"""When an embedded shipper leaves: told the time, it says yes or no."""

import pytest

from moesifasgi.shipper.presence import FIRST_WORKER_S, GRACE_S, Presence

LINGER_S = 10.0
T0 = 1_000.0


def served(until: float = T0) -> Presence:
    """One that had a worker until then."""
    presence = Presence(LINGER_S, T0 - 100)
    assert not presence.may_leave(1, idle=True, now=until)
    return presence


def test_it_stays_while_a_worker_is_connected_even_if_asked_to_leave():
    presence = served()
    presence.ask_to_leave()

    assert not presence.may_leave(1, idle=True, now=T0 + 1_000)
    assert not presence.may_leave(2, idle=False, now=T0 + 2_000)
    assert presence.may_leave(0, idle=True, now=T0 + 2_000)


@pytest.mark.parametrize(
    ("idle", "patience_s"), [(True, GRACE_S), (False, LINGER_S)], ids=["nothing to do", "work to do"]
)
def test_after_its_last_worker_it_stays_for_a_while(idle: bool, patience_s: float):
    presence = served()

    assert not presence.may_leave(0, idle, T0 + patience_s - 0.01)
    assert presence.may_leave(0, idle, T0 + patience_s)


@pytest.mark.parametrize(
    ("idle", "patience_s"), [(True, FIRST_WORKER_S), (False, LINGER_S)], ids=["nothing to do", "work to do"]
)
def test_it_waits_for_its_first_worker(idle: bool, patience_s: float):
    presence = Presence(LINGER_S, T0)

    assert not presence.may_leave(0, idle, T0 + patience_s - 0.01)
    assert presence.may_leave(0, idle, T0 + patience_s)


def test_without_linger_it_leaves_its_work_in_the_spool_but_not_before_a_first_worker_could_come():
    assert not Presence(0.0, T0).may_leave(0, idle=False, now=T0 + FIRST_WORKER_S - 0.01)

    presence = Presence(0.0, T0)
    presence.may_leave(1, idle=False, now=T0 + 1)
    assert presence.may_leave(0, idle=False, now=T0 + 1)


def test_a_worker_that_comes_back_starts_the_wait_anew():
    presence = served()
    presence.may_leave(1, idle=True, now=T0 + 1)

    assert not presence.may_leave(0, idle=True, now=T0 + 1 + GRACE_S - 0.01)


def test_asked_to_leave_it_goes_as_soon_as_nothing_is_left_to_do():
    presence = served()
    presence.ask_to_leave()

    assert not presence.may_leave(0, idle=False, now=T0)
    assert presence.may_leave(0, idle=True, now=T0)

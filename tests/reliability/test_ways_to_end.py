"""T3: each server ends in one or two ways, with one thing or another in trouble; ``make chaos`` tries all."""

import pytest
from campaigns.lives import Trouble
from campaigns.t03_ways_to_end import Case, Tried, all_tried
from lab.requirement import require
from lab.servers import no_container
from lab.setups import BY_NAME, SETUPS, Way

AT_ONCE = 4
NOISE_S = 2.0
"""Ends of several servers at once are no measurement; the campaign's are."""
WELL, DOWN = Trouble.NOTHING, Trouble.COLLECTOR_DOWN
STOPPED, STARTING, ABSENT = Trouble.SHIPPER_STOPPED, Trouble.SHIPPER_STARTING, Trouble.SHIPPER_ABSENT
CASES = [
    Case(BY_NAME[name], way, trouble, "auto")
    for name, way, trouble in (
        ("uvicorn", Way.SIGTERM, STOPPED),
        ("uvicorn, several workers", Way.SIGHUP, WELL),
        ("uvicorn --reload", Way.FILE_CHANGE, WELL),
        ("uvicorn --lifespan off", Way.SIGTERM, ABSENT),
        ("uvicorn --lifespan off", Way.SIGTERM, STOPPED),
        ("gunicorn, uvicorn-worker", Way.ABORT, WELL),
        ("gunicorn --preload, uvicorn-worker", Way.SIGTERM, DOWN),
        ("gunicorn --preload, uvicorn-worker", Way.SIGTERM, STARTING),
        ("gunicorn, asgi worker", Way.SIGQUIT, WELL),
        ("gunicorn --preload, asgi worker", Way.UPGRADE, WELL),
        ("hypercorn, asyncio", Way.MAX_REQUESTS, WELL),
        ("hypercorn, uvloop", Way.SIGTERM, WELL),
        ("hypercorn, trio", Way.SIGTERM, STOPPED),
        ("granian", Way.SIGINT, WELL),
        ("daphne", Way.SIGTERM, STOPPED),
        ("uvicorn, first in a container", Way.SIGTERM, WELL),
        ("gunicorn, first in a container", Way.SIGTERM, WELL),
    )
]
CASES += [
    Case(BY_NAME[name], Way.SIGTERM, trouble, "queue")
    for name, trouble in (("gunicorn --preload, uvicorn-worker", WELL), ("gunicorn, asgi worker", DOWN))
]


@pytest.fixture(scope="module")
def found() -> dict[Case, Tried]:
    possible = [case for case in CASES if not case.setup.prefix or no_container() is None]
    return {each.case: each for each in all_tried(possible, AT_ONCE)}


def test_each_server_has_its_turn_here():
    assert {case.setup for case in CASES} == set(SETUPS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_end_loses_nothing_and_takes_no_longer_than_it_may(case: Case, found: dict[Case, Tried]):
    if case.setup.prefix:
        require(no_container())
    tried = found[case]
    assert tried.loses_nothing, tried.fault or tried.life
    assert tried.is_timely(NOISE_S), (tried.life.exit_s, tried.exit_without_s)

"""T9: a shipper that is away slows no request and loses nothing; ``make chaos`` measures it for longer."""

import pytest
from campaigns.t09_shipper_away import RESUMES_S, SETTLES_S, Stage, away, stage
from lab.processes import eventually

RATIO = 1.5
"""Other tests are at work beside this one; the campaign's limit is 1.1."""


@pytest.fixture(scope="module")
def on():
    with stage() as made:
        yield made


@pytest.mark.parametrize("fault", ["stopped", "absent", "not_permitted"])
def test_a_request_does_not_notice_that_the_shipper_is_away(fault: str, on: Stage):
    found = away(on, fault, turns=2, requests=200, hold_s=0.0)
    eventually(on.all_arrived, SETTLES_S, "nothing is lost")
    assert found.ratio <= RATIO, found
    assert found.resumed_s <= RESUMES_S * 2, found

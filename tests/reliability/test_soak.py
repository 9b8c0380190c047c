"""T13: reconnects and events leave nothing behind; ``make chaos`` does many, on every server."""

import pytest
from campaigns import t13_soak
from campaigns.t13_servers import soaked
from lab.counts import count_of
from lab.setups import BY_NAME


@pytest.mark.timeout(3_600)
def test_reconnects_and_events_leave_no_descriptor_thread_memory_or_file_behind():
    found = t13_soak.soak(count_of(50))
    assert found.holds, found
    assert found.lost == 0


def test_a_servers_workers_hold_no_more_after_reconnects_and_new_shippers_than_before():
    found = soaked(BY_NAME["uvicorn, several workers"], 10)
    assert found.holds, (str(found), found)

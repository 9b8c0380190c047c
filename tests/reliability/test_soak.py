"""T13: reconnects and events leave nothing behind; ``make chaos`` does ten thousand and a million."""

import pytest
from campaigns import t13_soak
from lab.counts import count_of


@pytest.mark.timeout(3_600)
def test_reconnects_and_events_leave_no_descriptor_thread_memory_or_file_behind():
    found = t13_soak.soak(count_of(50))
    assert found.holds, found
    assert found.lost == 0

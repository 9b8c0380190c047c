"""The same requests through the published package and through this one, compared field by field."""

from collections import Counter

import pytest
from differential.comparison import Difference, differences
from differential.differences import stale, unexplained
from differential.page import PATH, page
from differential.sides import Side, our_side, published_side
from differential.traffic import TRAFFIC
from lab.published import NotInstallable, published_python
from lab.requirement import require

pytestmark = pytest.mark.timeout(240)
"""The first run makes the published package's environment."""
SKIPPED = {call.name for call in TRAFFIC if call.skipped}


@pytest.fixture(scope="module")
def ours() -> Side:
    return our_side(TRAFFIC)


@pytest.fixture(scope="module")
def published() -> Side:
    try:
        published_python()
    except NotInstallable as error:
        require(f"the published package cannot be installed: {error}")
    return published_side(TRAFFIC)


@pytest.fixture(scope="module")
def found(published: Side, ours: Side) -> list[Difference]:
    return differences(published, ours)


def test_every_call_has_a_name_of_its_own():
    assert [name for name, count in Counter(call.name for call in TRAFFIC).items() if count > 1] == []


def test_every_call_is_recorded_once_and_its_event_is_valid(ours: Side):
    assert {name: len(events) for name, events in ours.events.items()} == {
        name: 1 for name in ours.answers if name not in SKIPPED
    }
    assert ours.refused == 0


def test_every_difference_has_exactly_one_reason(found: list[Difference]):
    """Of the transaction id, A2; of duplicates, A12; all reasons are in ``differences``."""
    assert unexplained(found) == []


def test_every_reason_explains_a_difference(found: list[Difference]):
    assert stale(found) == []


def test_the_page_of_differences_is_current(found: list[Difference]):
    assert PATH.read_text("utf-8") == page(found), "run .venv/bin/python scripts/differences.py"

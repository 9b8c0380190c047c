"""Two applications, three servers, one daemon that is killed under load, a few times."""

import random

import pytest
from campaigns.d1_one_daemon import Found, tour
from lab.counts import count_of, seed_of

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def found() -> Found:
    return tour(count_of(2), random.Random(seed_of()))


def test_nothing_is_lost_when_the_daemon_is_killed_under_load(found: Found):
    assert found.answered > 100
    assert (found.lost, found.difference) == (0, 0)


def test_no_event_arrives_under_the_other_applications_id(found: Found):
    assert (found.foreign, found.refused_uploads) == (0, 0)


def test_no_application_id_is_seen_whole_in_status_log_argv_or_the_names_of_files(found: Found):
    assert found.leaks == ()


def test_socket_spool_and_all_files_of_the_daemon_are_closed_to_others(found: Found):
    assert found.open_to_others == ()

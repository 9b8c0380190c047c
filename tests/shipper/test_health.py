"""Which figures are reasons, which are notes, and what the sentences say."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest

from moesifasgi.shipper.health import Advice, Figures, Reason, duration, notes, reasons
from moesifasgi.shipper.monitor_page import health_page
from moesifasgi.shipper.supervision import summary

WELL = Figures(events=3, bytes=10, max_bytes=1000, dead_letters=0, oldest_age_s=2.0, last_success_age_s=1.0)


def reason(**changed: Any) -> list[Reason]:
    return list(reasons(replace(WELL, **changed)))


def note(is_failing: bool = False, **changed: Any) -> list[Reason]:
    return list(notes(replace(WELL, **changed), is_failing=is_failing))


def test_events_that_go_on_arriving_are_well():
    assert (reason(), note()) == ([], [])
    assert reason(events=0, oldest_age_s=None, last_success_age_s=None) == []
    assert reason(events=0, oldest_age_s=None, last_success_age_s=90_000.0) == []


@pytest.mark.parametrize(
    ("last_s", "told"),
    [(None, "none was delivered yet"), (4000.0, "the last was delivered 1 h 6 min ago")],
)
def test_an_old_event_without_a_recent_delivery_is_a_reason(last_s, told):
    (found,) = reason(oldest_age_s=61.0, last_success_age_s=last_s)
    assert found == Reason(f"the oldest event waits for 61 s, and {told}", Advice.LATE)
    assert reason(oldest_age_s=60.0, last_success_age_s=last_s) == []


def test_a_batch_that_may_fill_for_long_is_not_late():
    assert reason(oldest_age_s=600.0, last_success_age_s=None, patience_s=600.0) == []
    assert reason(oldest_age_s=661.0, last_success_age_s=None, patience_s=600.0)


def test_a_backlog_that_is_being_delivered_is_a_note_and_no_illness():
    changed = {"events": 1_234_567, "oldest_age_s": 7200.0}
    assert reason(**changed) == []
    what = "a backlog of 1,234,567 events is being delivered, the oldest waits for 2 h"
    assert note(**changed) == [Reason(what, Advice.BACKLOG)]
    assert note(is_failing=True, **changed) == []


def test_a_spool_that_fills_is_a_reason_before_anything_is_dropped():
    assert reason(bytes=799) == []
    (found,) = reason(bytes=800)
    assert found == Reason("the spool is 80% full; at 100% new events are dropped", Advice.ROOM)


def test_dead_letters_are_a_note_until_a_person_has_seen_to_them():
    assert reason(dead_letters=1200) == []
    assert note(dead_letters=1200) == [
        Reason("1,200 events were refused for good, and kept", Advice.DEAD_LETTERS)
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((None, "0 s"), (0.9, "0 s"), (119, "119 s"), (120, "2 min"), (3599, "59 min")),
        *((3600, "1 h"), (3660, "1 h 1 min"), (86_400, "1 d"), (90_000, "1 d 1 h")),
    ],
)
def test_ages_are_for_people(seconds, words):
    assert duration(seconds) == words


def test_each_reason_of_the_page_says_what_to_do():
    document = {
        "healthy": False,
        "reasons": ["events of …AAAA: parked: 401 Unauthorized"],
        "advice": [Advice.PARKED.value],
        "notes": ["something"],
        "workers": [],
        "spool": {"events": 7, "oldest_age_seconds": 130.0},
    }
    status, page = health_page(document)
    first = f"events of …AAAA: parked: 401 Unauthorized; {Advice.PARKED.value}"
    assert (status, page) == (HTTPStatus.SERVICE_UNAVAILABLE, f"UNHEALTHY\n{first}\nnote: something\n")
    assert summary(document) == (
        "UNHEALTHY: events of …AAAA: parked: 401 Unauthorized"
        " (0 workers, 7 events in the spool, the oldest for 2 min)"
    )
    assert health_page({**document, "healthy": True, "reasons": [], "advice": []}) == (
        HTTPStatus.OK,
        "healthy\nnote: something\n",
    )

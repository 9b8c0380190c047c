"""What answers mean, and how long to wait."""

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from moesifasgi.shipper.outcome import Delivered, Rejected, RetryLater, TooLarge, Unauthorized
from moesifasgi.shipper.retry import Backoff, backoff_s, classify, classify_error, retry_after_s

NOW = 1_700_000_000.0


@pytest.fixture
def in_tokyo(monkeypatch) -> Iterator[None]:
    """No time of the collector's is one of where the shipper runs."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((200, 201, 202, 204, 299), Delivered),
        ((301, 302, 307, 308, 408, 429, 500, 501, 502, 503, 504, 599), RetryLater),
        ((400, 405, 406, 409, 415, 418, 422), Rejected),
        ((413,), TooLarge),
        ((401, 402, 403, 404, 410), Unauthorized),
    ],
)
def test_each_status_has_its_class(statuses, kind):
    """B1: an answer that is no success is never taken for one."""
    assert {type(classify(status, {}, NOW)) for status in statuses} == {kind}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("9" * 5000, 3600.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        (formatdate(NOW + 90_000, usegmt=True), 3600.0),
        ("Sun Nov  6 08:49:37 1994", 0.0),
        (time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(NOW + 600)), 600.0),
        ("nan", None),
        ("1e400", None),
        ("Sun, 99 Nov 9999 99:99:99 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_within_an_hour(in_tokyo, value, seconds):
    assert retry_after_s(value, NOW) == seconds


def test_the_retry_after_header_reaches_the_outcome():
    outcome = classify(503, {"Retry-After": "12"}, NOW)
    assert outcome == RetryLater(12.0, "503 Service Unavailable", 503)


def test_the_wait_doubles_up_to_its_cap():
    assert [backoff_s(attempt, 1.0) for attempt in (1, 2, 3, 9, 2000)] == [2.0, 4.0, 8.0, 300.0, 300.0]


def test_the_wait_has_full_jitter_but_never_less_than_a_second():
    """No hot loop: at most one request a second while failing (T5)."""
    assert backoff_s(5, 0.5) == 16.0
    assert min(backoff_s(attempt, 0.0) for attempt in range(2001)) == 1.0


def test_the_bounds_of_the_wait_can_be_set():
    assert backoff_s(3, 1.0, Backoff(base_s=0.1, cap_s=0.5, floor_s=0.01)) == 0.5


def test_an_error_is_tried_again():
    assert classify_error(TimeoutError()) == RetryLater(None, "TimeoutError")

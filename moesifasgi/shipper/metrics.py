"""The shipper's figures as Prometheus text, made of the status document when somebody asks.

No label carries an application's id, a header or anything else of an event: applications are known by the
last four characters of their ids, as in status.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from moesifasgi.shipper.gate import GateState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "moesif_shipper"
UPLOAD_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a collector next door to the total deadline of an upload."""
DROP_REASONS = ("spool_full", "quota_full", "damaged", "expired")
"""Those that are always there; others come with their first event."""

Document = Mapping[str, Any]


class Metrics:
    """``observe`` from upload threads, ``text`` from any."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            f"{PREFIX}_upload_seconds",
            "Duration of requests that upload events.",
            buckets=UPLOAD_BUCKETS_S,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)

    def observe(self, _code: str, seconds: float) -> None:
        """One finished upload."""
        self._seconds.observe(seconds)

    def text(self, document: Document) -> bytes:
        """Everything, with the figures of this status document."""
        now = CollectorRegistry()
        now.register(_Figures(document, time.time))
        return generate_latest(now) + generate_latest(self._registry)


class _Figures(Collector):
    """One status document as metrics."""

    def __init__(self, document: Document, wall: Callable[[], float]) -> None:
        self._document = document
        self._wall = wall

    def collect(self) -> Iterator[Metric]:
        yield from _of_process(self._document)
        yield from _of_events(self._document)
        yield from _of_spool(self._document)
        yield from _of_uploads(self._document, self._wall())
        yield from _of_applications(self._document)


def _of_process(document: Document) -> Iterator[Metric]:
    yield _by_label("info", "The running version.", "version", {document["version"]: 1})
    yield _gauge(
        "healthy", "1 while events arrive at the collector; status says why not.", document["healthy"]
    )
    yield _gauge("uptime_seconds", "Since this process began.", document["uptime_seconds"])
    yield _gauge("workers", "Worker processes that are connected.", len(document["workers"]))


def _of_events(document: Document) -> Iterator[Metric]:
    counters = document["counters"]
    yield _counter("events_received", "Events taken from workers.", counters["received"])
    yield _counter("events_delivered", "Events that the collector has.", counters["delivered"])
    yield _counter("events_duplicates", "Events offered again after a lost word.", counters["duplicates"])
    dropped = "Events given up, by reason."
    # From 0 on, so that the first drop of a kind is an increase that an alert can see.
    counts = dict.fromkeys(DROP_REASONS, 0) | dict(counters["dropped"])
    yield _counters("events_dropped", dropped, "reason", counts)
    letters = "Events that the collector refused for good, by its answer, since this process began."
    yield _counters("dead_letters", letters, "code", document["upload"]["dead_letters"])


def _of_spool(document: Document) -> Iterator[Metric]:
    spool = document["spool"]
    yield _gauge("spool_events", "Events that wait in the spool.", spool["events"])
    yield _gauge("spool_bytes", "What they take, compressed.", spool["bytes"])
    yield _gauge("spool_max_bytes", "The bound of that; at it new events are dropped.", spool["max_bytes"])
    age = "Since the oldest event in the spool was taken; 0 if it is empty."
    yield _gauge("spool_oldest_age_seconds", age, spool["oldest_age_seconds"] or 0.0)
    yield _gauge("spool_dead_letters", "Refused events that are kept for a person.", spool["dead_letters"])


def _of_uploads(document: Document, wall: float) -> Iterator[Metric]:
    upload = document["upload"]
    code = "Requests that upload events, by status; none: there was no answer."
    yield _counters("upload_requests", code, "code", upload["requests"])
    yield _counter("upload_retries", "Of these, those that repeat an earlier one.", upload["retries"])
    yield _gauge("uploads_in_flight", "Requests under way.", upload["in_flight"])
    age_s = upload["last_success_age_seconds"]
    last = "When the collector last took events, in seconds since the epoch; 0 before the first time."
    yield _gauge("last_success_timestamp_seconds", last, 0.0 if age_s is None else wall - age_s)


def _of_applications(document: Document) -> Iterator[Metric]:
    applications = document["applications"]
    parked = {label: entry["state"] == GateState.PARKED.value for label, entry in applications.items()}
    yield _by_label("application_parked", "1 while the collector refuses it.", "application", parked)
    checked = {
        label: entry["policy"]["age_seconds"]
        for label, entry in applications.items()
        if entry["policy"] is not None and entry["policy"]["age_seconds"] is not None
    }
    age = "Since the application's policy was last known to be the newest."
    yield _by_label("policy_age_seconds", age, "application", checked)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=float(value))


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def _by_label(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family

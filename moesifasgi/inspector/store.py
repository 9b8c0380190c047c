"""What arrived at the collector: counts, identities for deduplication, the newest items. Bounded memory.

One lock guards all of it. Its condition is notified after every change, so that whoever waits for something
to arrive needs no polling.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

import orjson

from moesifasgi.inspector.arrival import Arrival, Upload, transaction_id_of
from moesifasgi.inspector.arrival_log import ArrivalLog
from moesifasgi.inspector.newest import Kept, Newest
from moesifasgi.inspector.tally import STREAMS, Counts, Sizes, Tally
from moesifasgi.wire.application import Application

MAX_APPLICATIONS = 1000
MAX_IDS = 5_000_000
"""Identities kept for deduplication, all applications together; about 100 bytes each."""


class Asked(NamedTuple):
    """One request, as it was counted: ``POST /v1/events/batch 201``."""

    at: float
    """Wall clock, seconds since the epoch."""
    key: str


class _Account:
    """One application's part of the store."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.identities: dict[str, set[bytes]] = {stream: set() for stream in STREAMS}


class Store:
    """Thread-safe. Waits and reads see whole uploads only."""

    def __init__(
        self, keep_events: int = 1000, max_ids: int = MAX_IDS, log: ArrivalLog | None = None
    ) -> None:
        self._changed = threading.Condition()
        self._keep_events = keep_events
        self._max_ids = max_ids
        self._log = log
        self._in_flight: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget all that arrived; what is being uploaded now stays in flight."""
        with self._changed:
            self._accounts: dict[str, _Account] = {}
            self._newest = {stream: Newest(self._keep_events) for stream in STREAMS}
            self._requests: Counter[str] = Counter()
            self._asked: deque[Asked] = deque(maxlen=self._keep_events)
            self._peak = Counter(self._in_flight)
            self._sizes = Sizes()
            self._wire_bytes = self._body_bytes = 0
            self._ids = self._ids_not_kept = 0
            self._first_at: float | None = None
            self._last_at: float | None = None
            self._changed.notify_all()

    def admits(self, application_id: str) -> bool:
        """False for a new application beyond ``MAX_APPLICATIONS``."""
        with self._changed:
            return application_id in self._accounts or len(self._accounts) < MAX_APPLICATIONS

    def add(self, upload: Upload) -> None:
        """Count and keep one upload's items."""
        with self._changed:
            account = self._accounts.setdefault(upload.application_id, _Account())
            counts = account.tally.counts[upload.stream]
            counts.received += upload.items
            counts.invalid += upload.invalid
            counts.refused += upload.refused
            fates = [(each, self._add_one(account, upload, each)) for each in upload.arrivals]
            self._sizes.add(upload.items)
            self._wire_bytes += upload.wire_bytes
            self._body_bytes += upload.body_bytes
            self._first_at, self._last_at = self._first_at or upload.at, upload.at
            if self._log is not None:
                label = Application(upload.application_id).label
                lines = ((each.raw, duplicate) for each, duplicate in fates)
                self._log.append(upload.at, label, upload.stream, lines)
            self._changed.notify_all()

    def _add_one(self, account: _Account, upload: Upload, item: Arrival) -> bool:
        counts = account.tally.counts[upload.stream]
        counts.oversized += item.oversized
        counts.late_over_30_days += item.late
        duplicate = self._is_known(account.identities[upload.stream], item.identity)
        if duplicate:
            counts.duplicates += 1
        else:
            counts.distinct += 1
        if not duplicate and upload.stream == "events":
            account.tally.by_status[item.status] += 1
            account.tally.by_direction[item.direction] += 1
        # A repeated user is news (an update); a repeated event is what the collector throws away.
        if not duplicate or upload.stream not in ("events", "actions"):
            self._newest[upload.stream].add(Kept(upload.application_id, upload.at, item.identity, item.raw))
        return duplicate

    def _is_known(self, identities: set[bytes], identity: bytes | None) -> bool:
        if identity in identities:
            return True
        if identity is not None and self._ids < self._max_ids:
            identities.add(identity)
            self._ids += 1
        elif identity is not None:
            self._ids_not_kept += 1
        return False

    def count_request(self, key: str, at: float) -> None:
        """Count one request under its method, path and outcome."""
        with self._changed:
            self._requests[key] += 1
            self._asked.append(Asked(at, key))
            self._changed.notify_all()

    @contextmanager
    def uploading(self, stream: str) -> Iterator[None]:
        """One upload is in flight for as long as this is entered."""
        self._in_flight_changes(stream, 1)
        try:
            yield
        finally:
            self._in_flight_changes(stream, -1)

    def _in_flight_changes(self, stream: str, by: int) -> None:
        with self._changed:
            for name in (stream, "all"):
                self._in_flight[name] += by
                self._peak[name] = max(self._peak[name], self._in_flight[name])
            self._changed.notify_all()

    def wait_for(self, predicate: "Callable[[Store], object]", timeout_s: float) -> bool:
        """Wait until the predicate is true of this store; False if it is not in time."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: predicate(self), timeout_s))

    def counts(self, stream: str = "events", application_id: str | None = None) -> Counts:
        """A copy of one stream's counts, of one application or of all."""
        with self._changed:
            accounts = self._selected(application_id)
            return replace(Counts.total(account.tally.counts[stream] for account in accounts))

    def identities(self, application_id: str | None = None) -> Iterator[bytes]:
        """The distinct events' transaction_ids as bytes, of one application or of all, as of now."""
        with self._changed:
            return chain.from_iterable(
                [tuple(account.identities["events"]) for account in self._selected(application_id)]
            )

    def transaction_ids(self, application_id: str | None = None) -> set[str]:
        """The distinct events' transaction_ids, of one application or of all."""
        return {transaction_id_of(identity) for identity in self.identities(application_id)}

    def applications(self) -> list[str]:
        """The ids of all applications that uploaded something."""
        with self._changed:
            return list(self._accounts)

    def newest(self, stream: str = "events") -> list[Kept]:
        """The newest items of a stream, newest first."""
        with self._changed:
            return list(reversed(self._newest[stream].items))

    def items(self, stream: str = "events", application_id: str | None = None) -> list[dict[str, Any]]:
        """The newest items of a stream as they were sent, oldest first."""
        kept = reversed(self.newest(stream))
        return [orjson.loads(one.raw) for one in kept if application_id in (None, one.application_id)]

    @property
    def uploads_in_flight(self) -> int:
        """Uploads that have begun and not been answered."""
        with self._changed:
            return self._in_flight["all"]

    def requests(self) -> dict[str, int]:
        """Requests by method, path and outcome: ``{"POST /v1/events/batch 201": 3}``."""
        with self._changed:
            return dict(self._requests)

    def asked(self) -> list[Asked]:
        """The newest requests with their times, oldest first."""
        with self._changed:
            return list(self._asked)

    def summary(self) -> dict[str, Any]:
        """All counts as a JSON object; applications by their last four characters."""
        with self._changed:
            per_application = {name: account.tally for name, account in self._accounts.items()}
            return {
                "requests": dict(self._requests),
                **Tally.total(per_application.values()).to_json(),
                "applications": [
                    {"application": Application(name).label, **tally.to_json()}
                    for name, tally in per_application.items()
                ],
                "concurrent_uploads_peak": {"all": 0, **self._peak},
                "bytes": {"compressed": self._wire_bytes, "uncompressed": self._body_bytes},
                "batch_sizes": self._sizes.to_json(),
                "first_arrival": _iso(self._first_at),
                "last_arrival": _iso(self._last_at),
                "ids_not_kept": self._ids_not_kept,
                "unlogged": self._log.unwritten if self._log else 0,
            }

    def _selected(self, application_id: str | None) -> list[_Account]:
        if application_id is None:
            return list(self._accounts.values())
        account = self._accounts.get(application_id)
        return [account] if account else []


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")

"""One request to the collector: from encoded items to an Outcome. Knows the endpoint, nothing of batches."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from moesifasgi.shipper.clients import Clients, identification, named_tags, url
from moesifasgi.shipper.compression import gzip_bytes
from moesifasgi.shipper.http import Answer, NoAnswer, Timeouts
from moesifasgi.shipper.lane import ORDERED_STREAMS
from moesifasgi.shipper.offline import offline_file, write_lines
from moesifasgi.shipper.outcome import Delivered, Outcome, Unauthorized
from moesifasgi.shipper.payload import pack
from moesifasgi.shipper.retry import classify, classify_error
from moesifasgi.shipper.spool import Lane
from moesifasgi.wire.application import Application

OnTags = Callable[[str, str | None, str | None], None]
"""(application_id, config_tag, rules_tag), as an answer named them. Called on an upload thread."""
OnUpload = Callable[[str, float], None]
"""(code, seconds) of each finished request, for a histogram. Called on an upload thread."""
NO_ANSWER = "none"
"""The code under which requests without an answer are counted."""


@dataclass(slots=True)
class Traffic:
    """What was asked of the collector for one application. ``last_success`` is monotonic, in seconds."""

    requests: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    in_flight: int = 0
    last_success: float | None = None


class Uploads(Protocol):
    """What the delivery loop needs of an uploader."""

    def upload(
        self, lane: Lane, application: Application, bodies: Sequence[bytes], *, retry: bool = False
    ) -> Outcome: ...

    def traffic(self, application_id: str) -> Traffic: ...

    def close(self) -> None: ...


class Uploader:
    """Uploads for any number of applications, from any number of threads. Holds one client per way out."""

    def __init__(
        self,
        *,
        timeouts: Timeouts | None = None,
        on_tags: OnTags | None = None,
        on_upload: OnUpload | None = None,
        may_write_files: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._on_tags = on_tags
        self._on_upload = on_upload
        self._may_write_files = may_write_files
        """Whether a worker may name a file to write instead of uploading (``offline``)."""
        self._wall = wall
        self._lock = threading.Lock()
        self._clients = Clients(timeouts)
        self._traffic: dict[str, Traffic] = {}

    def upload(
        self, lane: Lane, application: Application, bodies: Sequence[bytes], *, retry: bool = False
    ) -> Outcome:
        """Upload encoded items as one batch and say what came of it. ``retry``: these were tried before."""
        if (file := offline_file(application)) is not None:
            return self._write(lane.application_id, file, bodies)
        compressed = gzip_bytes(pack(bodies))
        self._began(lane.application_id, retry)
        started = time.monotonic()
        code = NO_ANSWER
        try:
            connections = application.concurrent_uploads + len(ORDERED_STREAMS)
            client = self._clients.client(application, connections)
            path = f"/v1/{lane.stream}/batch"
            answer = client.post(url(application, path), compressed, _headers(application))
            code = str(answer.status)
        except NoAnswer as error:
            return classify_error(error, reached=error.reached, too_slow=error.too_slow)
        finally:
            self._ended(lane.application_id, code, time.monotonic() - started)
        return self._outcome(lane.application_id, answer)

    def traffic(self, application_id: str) -> Traffic:
        """A copy of one application's counters."""
        with self._lock:
            held = self._traffic.get(application_id, Traffic())
            return Traffic(Counter(held.requests), held.retries, held.in_flight, held.last_success)

    def forget(self, application_id: str) -> None:
        """Its counters, unless an upload is under way."""
        with self._lock:
            if (held := self._traffic.get(application_id)) is not None and not held.in_flight:
                del self._traffic[application_id]

    def close(self) -> None:
        """Cut off what is under way. May be called twice; later uploads fail."""
        self._clients.close()

    def _write(self, application_id: str, file: Path, bodies: Sequence[bytes]) -> Outcome:
        if not self._may_write_files:
            return Unauthorized(403, "only an embedded shipper writes to a file")
        outcome = write_lines(file, bodies)
        if isinstance(outcome, Delivered):
            with self._lock:
                self._traffic.setdefault(application_id, Traffic()).last_success = time.monotonic()
        return outcome

    def _outcome(self, application_id: str, answer: Answer) -> Outcome:
        outcome = classify(answer.status, answer.headers, self._wall())
        if isinstance(outcome, Delivered):
            with self._lock:
                self._traffic[application_id].last_success = time.monotonic()
            self._tell_tags(application_id, answer)
        return outcome

    def _tell_tags(self, application_id: str, answer: Answer) -> None:
        config, rules = named_tags(answer.headers)
        if self._on_tags is not None and (config or rules):
            self._on_tags(application_id, config, rules)

    def _began(self, application_id: str, retry: bool) -> None:
        with self._lock:
            traffic = self._traffic.setdefault(application_id, Traffic())
            traffic.in_flight += 1
            traffic.retries += retry

    def _ended(self, application_id: str, code: str, seconds: float) -> None:
        with self._lock:
            traffic = self._traffic[application_id]
            traffic.in_flight -= 1
            traffic.requests[code] += 1
        if self._on_upload is not None:
            self._on_upload(code, seconds)


def _headers(application: Application) -> dict[str, str]:
    return {
        **identification(application),
        "Content-Type": "application/json; charset=utf-8",
        "Content-Encoding": "gzip",
    }

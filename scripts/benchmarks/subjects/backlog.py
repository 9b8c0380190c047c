"""Subject: delivery from a spool that holds so many events all the time.

    python -m benchmarks.subjects.backlog DIRECTORY URL BACKLOG

Each turn appends as many events as may be uploaded in it; the CPU of both is measured.
"""

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.filled_spool import Filler
from lab.processes import eventually

from benchmarks.subjects.lines import answer_lines
from moesifasgi.shipper.delivery import Delivery
from moesifasgi.shipper.outcome import Outcome
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.shipper.uploader import Traffic, Uploader
from moesifasgi.wire.application import Application

DELIVERED_WITHIN_S = 120.0
SLACK_EVENTS = 200
"""What one batch holds."""


class Allowance:
    """An uploader that may upload so many events, and waits for more."""

    def __init__(self) -> None:
        self.uploaded = 0
        self._uploader = Uploader()
        self._allowed = 0
        self._changed = threading.Condition()

    def allow(self, count: int) -> None:
        with self._changed:
            self._allowed += count
            self._changed.notify_all()

    def upload(
        self, lane: Lane, application: Application, bodies: Sequence[bytes], *, retry: bool = False
    ) -> Outcome:
        with self._changed:
            self._changed.wait_for(lambda: self._allowed >= len(bodies))
            self._allowed -= len(bodies)
        outcome = self._uploader.upload(lane, application, bodies, retry=retry)
        with self._changed:
            self.uploaded += len(bodies)
        return outcome

    def traffic(self, application_id: str) -> Traffic:
        return self._uploader.traffic(application_id)

    def forget(self, application_id: str) -> None:
        self._uploader.forget(application_id)

    def close(self) -> None:
        self._uploader.close()


def main(directory: str, url: str, backlog: str) -> None:
    spool = open_spool(Path(directory), max_bytes=8 << 30, min_free_bytes=0, durability="normal")
    application = Application("application-of-the-benchmark", base_uri=url, batch_size=200)
    filler, allowance = Filler(spool, application), Allowance()
    filler.append(int(backlog))
    delivery = Delivery(spool, Registry(spool), allowance)
    delivery.start()

    def turn(count: int) -> dict[str, Any]:
        began, wanted = time.process_time(), allowance.uploaded + count - SLACK_EVENTS
        filler.append(count)
        delivery.notify()
        allowance.allow(count)
        eventually(lambda: allowance.uploaded >= wanted, DELIVERED_WITHIN_S, "they are uploaded")
        return {"cpu_s": time.process_time() - began}

    answer_lines(turn)
    delivery.close(0.0)
    spool.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

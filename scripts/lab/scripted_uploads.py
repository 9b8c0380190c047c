"""A collector that answers at once, as a test's history of faults wants; for a delivery without threads."""

from collections.abc import Sequence
from typing import Any

import orjson

from moesifasgi.shipper.outcome import Delivered, Outcome, Rejected, RetryLater, TooLarge
from moesifasgi.shipper.retry import classify
from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.uploader import Traffic
from moesifasgi.wire.application import Application

Answer = int | str
"""A status, ``raises`` (a fault of our own), or ``reply lost`` (the collector has it, nobody hears of it)."""


class ScriptedUploads:
    """Implements ``Uploads``. A batch with an item marked ``poison`` is refused where others are taken."""

    def __init__(self) -> None:
        self.answer: Answer = 201
        self.poison = True
        """Whether poison is refused at all."""
        self.contradicted = False
        """What it had taken was refused when it came again."""
        self.attempts = 0
        self.taken: list[tuple[Lane, dict[str, Any]]] = []
        """What the collector has, in the order in which it came, repeated items too."""

    def upload(
        self, lane: Lane, application: Application, bodies: Sequence[bytes], *, retry: bool = False
    ) -> Outcome:
        self.attempts += 1
        items = [orjson.loads(body) for body in bodies]
        if self.answer == "raises":
            raise RuntimeError("a fault of our own")
        if self.answer == "reply lost":
            self.taken += [(lane, item) for item in items]
            return RetryLater(None, "no answer")
        refused = self.poison and self.answer == 201 and any(item["poison"] for item in items)
        status = 400 if refused else self.answer
        outcome = classify(int(status), {"Retry-After": "3"}, 0.0)
        if isinstance(outcome, Rejected | TooLarge):
            had = {item["transaction_id"] for _, item in self.taken}
            self.contradicted |= any(item["transaction_id"] in had for item in items)
        if isinstance(outcome, Delivered):
            self.taken += [(lane, item) for item in items]
        return outcome

    def traffic(self, application_id: str) -> Traffic:
        return Traffic()

    def close(self) -> None:
        """Nothing is held."""

"""What a worker tells its shipper beside its events. Pure; the carrier's lock guards it."""

import contextlib
from collections import deque
from collections.abc import Iterable, Sequence

from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import Message, Report, Stats


class Control:
    """Frames that go out behind the events which wait, in their order."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._told_stats = b""
        self._reported: Sequence[Report] = []
        """What this connection's far end was told of the policies."""

    def __len__(self) -> int:
        return len(self._waiting)

    def start_over(self, questions: Iterable[bytes]) -> None:
        """A new connection: what waits for an answer is asked again, and all reports are news."""
        self._waiting = deque(questions)
        self._reported = []

    def ask(self, question: bytes) -> None:
        """One more frame."""
        self._waiting.append(question)

    def news(self, stats: Stats, reports: Sequence[Report]) -> list[bytes]:
        """Frames for ``tell``: the statistics, and those reports that are new here. Without the lock."""
        said: list[Message] = [stats, *(report for report in reports if report not in self._reported)]
        self._reported = reports
        return [frame(encode(message)) for message in said]

    def tell(self, news: Sequence[bytes]) -> None:
        """Of what it counts only the newest is worth telling, to one that does not read for a while."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(self._told_stats)
        self._told_stats = news[0]
        self._waiting += news

    def take(self) -> tuple[bytes, ...]:
        """All that waits; it is the caller's now."""
        taken = tuple(self._waiting)
        self._waiting.clear()
        return taken

"""The uploads under way: how many there may be, and when each began.

Upload threads only upload, and report to the delivery loop, whose thread owns all else here. ``begun`` and
``ended`` may be looked at by any.
"""

from collections.abc import Callable
from functools import partial

from moesifasgi.shipper.batch import Batch
from moesifasgi.shipper.fates import Finished
from moesifasgi.shipper.lane import LaneState
from moesifasgi.shipper.outcome import RetryLater
from moesifasgi.shipper.upload_threads import UploadThreads
from moesifasgi.shipper.uploader import Uploads
from moesifasgi.wire.application import Application

MAX_UPLOADS = 128
"""Under way at once; when half of them are, each lane gets one at a time."""


class UnderWay:
    """``finished`` hears of the end of each, on the upload's thread."""

    def __init__(
        self, uploader: Uploads, threads: UploadThreads, finished: Callable[[LaneState, Finished], None]
    ) -> None:
        self.begun: tuple[float, ...] = ()
        """When each began (monotonic); replaced, never changed, since other threads look at it."""
        self.ended = 0
        """How many have come to an end."""
        self._uploader = uploader
        self._threads = threads
        self._finished = finished

    def admits(self, state: LaneState) -> bool:
        """Whether one more of this lane fits among all that are under way."""
        under_way = len(self.begun)
        if under_way >= MAX_UPLOADS // 2 and state.in_flight:
            return False
        return under_way < MAX_UPLOADS

    def begin(self, state: LaneState, batch: Batch, now: float) -> None:
        """Upload the batch on a thread. RuntimeError where the system grants none; nothing has begun then."""
        job = partial(self._upload, state, state.application, batch, now)
        self._threads.run(job, len(self.begun) + 1)
        state.in_flight += 1
        self.begun += (now,)

    def end(self, state: LaneState, finished: Finished) -> None:
        """The loop has heard of its end."""
        state.in_flight -= 1
        self.ended += 1
        rest = list(self.begun)
        rest.remove(finished.started_at)
        self.begun = tuple(rest)

    def close(self) -> None:
        """Let the threads end after what they are at."""
        self._threads.close()

    def _upload(self, state: LaneState, application: Application, batch: Batch, started_at: float) -> None:
        try:
            outcome = self._uploader.upload(state.lane, application, batch.bodies, retry=batch.retry)
        except Exception as error:  # noqa: BLE001  # a fault of ours must not cost the batch, nor the thread
            outcome = RetryLater(None, f"fault in the shipper: {type(error).__name__}")
        self._finished(state, Finished(batch, started_at, outcome))

"""A steady stream of recorded calls into a channel, for as long as something is done to its shipper."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lab.corpus import orders
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.wire.messages import Kind
from moesifasgi.wire.ring import Offer

PER_SECOND = 500.0
_CALLS = 1 << 30


class Trickle(threading.Thread):
    """``offered`` has the ids of the calls that the channel's ring accepted."""

    def __init__(self, channel: UnixChannel, key: int = 0, per_second: float = PER_SECOND) -> None:
        super().__init__(daemon=True)
        self.offered: set[str] = set()
        self.refused = 0
        self._channel = channel
        self._key = key
        self._interval_s = 1.0 / per_second
        self._ending = threading.Event()

    def run(self) -> None:
        for made, payload in itertools.islice(orders(_CALLS, seed=id(self)), _CALLS):
            if self._ending.wait(self._interval_s):
                return
            if self._channel.offer(Kind.RECORD, self._key, payload) is Offer.ACCEPTED:
                self.offered.add(made)
            else:
                self.refused += 1

    def stop(self) -> None:
        self._ending.set()
        self.join()


@contextmanager
def trickling(channel: UnixChannel, key: int = 0, per_second: float = PER_SECOND) -> Iterator[Trickle]:
    """It runs with the block."""
    trickle = Trickle(channel, key, per_second)
    trickle.start()
    try:
        yield trickle
    finally:
        trickle.stop()

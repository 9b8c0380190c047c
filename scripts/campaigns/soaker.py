"""A worker that offers so many recorded calls as each line of its input says, and answers each with a line.

    python soaker.py SOCKET COLLECTOR_URL

It leaves, in good order, when the input ends.
"""

import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from lab.corpus import orders

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

RING_EVENTS, RING_BYTES = 2_000, 8 << 20
DRAIN_S = 60.0


def offer(channel: UnixChannel, calls: Iterable[tuple[str, bytes]]) -> None:
    """As fast as they are taken."""
    for _, payload in calls:
        while channel.offer(Kind.RECORD, 0, payload).value != "accepted":
            time.sleep(0.001)


def main(path: str, url: str) -> None:
    channel = UnixChannel(PathDialer(Path(path)), RING_EVENTS, RING_BYTES)
    channel.register(Application("soaked-application-id-as-long-as-a-real-one-0123456789", base_uri=url))
    calls = orders(sys.maxsize)
    for line in sys.stdin:
        offer(channel, islice(calls, int(line)))
        print("done", flush=True)
    channel.drain(DRAIN_S, give_up=False)
    channel.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

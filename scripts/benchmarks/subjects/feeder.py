"""A worker that offers so many recorded calls for each line of its input, and answers once they are kept.

python -m benchmarks.subjects.feeder SOCKET
"""

import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from lab.corpus import orders

from benchmarks.subjects.lines import answer_lines
from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

CORPUS = 4_000
MOST_IN_RING = 20_000
PAUSE_S = 0.001


def main(path: str) -> None:
    calls = cycle(list(orders(CORPUS)))
    channel = UnixChannel(PathDialer(Path(path)), 1_000_000, 256 << 20)
    channel.register(Application("application-of-the-benchmark"))

    def turn(count: int) -> dict[str, Any]:
        for _, payload in islice(calls, count):
            channel.offer(Kind.RECORD, 0, payload)
            while channel.stats()["ring_events"] > MOST_IN_RING:
                time.sleep(PAUSE_S)
        while channel.stats()["ring_events"]:
            time.sleep(PAUSE_S)
        return {}

    answer_lines(turn)
    channel.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Subject: a standalone shipper as it is installed, fed by so many workers, and what it costs to deliver.

    python -m benchmarks.subjects.shipper DIRECTORY URL WORKERS BATCH_SIZE

Only the shipper's process is measured; the workers' channels are in this one.
"""

import sys
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from lab.corpus import orders
from lab.process_cost import cpu_s
from lab.shipper_process import channel_to, feed, standalone

from benchmarks.subjects.lines import answer_lines
from moesifasgi.wire.application import Application

DELIVERED_WITHIN_S = 120.0
CORPUS = 4_000


def main(directory: str, url: str, workers: str, batch_size: str) -> None:
    calls = cycle(list(orders(CORPUS)))
    # A fixed size, so that both sides of a comparison make as many requests.
    application = Application("application-of-the-benchmark", base_uri=url, batch_size=int(batch_size))
    with ExitStack() as stack:
        shipper = stack.enter_context(standalone(Path(directory), log_level="warning"))
        channels = [stack.enter_context(channel_to(shipper, application)) for _ in range(int(workers))]

        def turn(count: int) -> dict[str, Any]:
            began = cpu_s(shipper.popen.pid)
            for channel in channels:
                feed(channel, islice(calls, count // len(channels)))
            for channel in channels:
                if not channel.drain(DELIVERED_WITHIN_S, give_up=False).delivered:
                    raise RuntimeError(f"not delivered: {shipper.log()}")
            return {"cpu_s": cpu_s(shipper.popen.pid) - began}

        answer_lines(turn)


if __name__ == "__main__":
    main(*sys.argv[1:])

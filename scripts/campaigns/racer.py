"""Workers that all want a shipper at the same moment: forked from one process, each with its own channel.

    python racer.py WORKERS EVENTS

Settings come from the environment. When the first line arrives on standard input the workers begin: each
offers so many events at once. At the second they end as a worker does, and the exit status says whether all
could have their events acknowledged.
"""

import os
import sys

import msgpack

from moesifasgi.channel.registry import channel_for
from moesifasgi.settings import Settings
from moesifasgi.wire.messages import Kind

DRAIN_S = 20.0


def work(number: int, events: int, begin: int, end: int) -> bool:
    """One worker's life; ``begin`` and ``end`` are pipes whose closing is the signal."""
    settings = Settings.load({}, os.environ)
    channel = channel_for(settings)
    key = channel.register(settings.application())
    os.read(begin, 1)
    for each in range(events):
        made = f"{os.getpid():08}-0000-0000-{number:04}-{each:012}"
        request = {"time": "2099-01-01T10:00:00.000", "uri": "http://h/p", "verb": "GET", "headers": {}}
        channel.offer(Kind.EVENT, key, msgpack.packb({"transaction_id": made, "request": request}))
    os.read(end, 1)
    channel.drain(DRAIN_S, give_up=True)
    channel.close()
    return not channel.stats()["ring_events"]


def main() -> None:
    """Fork, wait for the words, reap."""
    workers, events = int(sys.argv[1]), int(sys.argv[2])
    (begin, may_begin), (end, may_end) = os.pipe(), os.pipe()
    children = []
    for number in range(workers):
        if (pid := os.fork()) == 0:
            os.close(may_begin)
            os.close(may_end)
            os._exit(0 if work(number, events, begin, end) else 1)
        children.append(pid)
    for word in (may_begin, may_end):
        sys.stdin.readline()
        os.close(word)
    sys.exit(any(os.waitpid(pid, 0)[1] for pid in children))


if __name__ == "__main__":
    main()

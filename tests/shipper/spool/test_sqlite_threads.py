"""Intake and delivery work on one spool at the same time."""

import threading
from collections.abc import Callable

from moesifasgi.shipper.spool import Settlement
from moesifasgi.shipper.spool.sqlite import SqliteSpool

CHUNKS = 150


def test_appends_peeks_settlements_and_status_from_several_threads_lose_and_repeat_nothing(
    opened: Callable[..., SqliteSpool], append: Callable[..., None], conserved: Callable[[SqliteSpool], None]
) -> None:
    spool = opened()
    faults: list[BaseException] = []
    delivered: list[int] = []
    done = threading.Event()

    def intake() -> None:
        for number in range(CHUNKS):
            append(spool, 3 * number + 1)
        done.set()

    def delivery() -> None:
        while True:
            finished = done.is_set()
            for lane in spool.lanes():
                for chunk in spool.peek(lane, 0, 20):
                    spool.settle([Settlement(chunk.row, len(chunk.items))])
                    delivered.extend(chunk.sequences)
            if finished and not spool.usage().events:
                return

    def status() -> None:
        while not done.is_set():
            totals = spool.totals()
            assert totals.taken >= totals.delivered
            assert spool.usage().events >= 0

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001  (whatever it is, the test shows it)
            faults.append(fault)
            done.set()

    threads = [threading.Thread(target=run, args=[work]) for work in (intake, delivery, status)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not faults
    assert sorted(delivered) == list(range(1, 3 * CHUNKS + 1))
    assert spool.totals().delivered == 3 * CHUNKS
    conserved(spool)

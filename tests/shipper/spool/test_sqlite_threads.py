"""Intake and delivery work on one spool at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from moesifasgi.shipper.spool import Settlement
from moesifasgi.shipper.spool.sqlite import SqliteSpool

CHUNKS = 150


def test_intake_delivery_and_status_at_the_same_time_lose_and_repeat_nothing(
    opened: Callable[..., SqliteSpool], append: Callable[..., None], conserved: Callable[[SqliteSpool], None]
) -> None:
    spool = opened()
    delivered: list[int] = []

    def intake() -> None:
        for number in range(CHUNKS):
            append(spool, 3 * number + 1)

    def deliver_all() -> None:
        for lane in spool.lanes():
            for chunk in spool.peek(lane, 0, 10_000):
                spool.settle([Settlement(chunk.row, len(chunk.items))])
                delivered.extend(chunk.sequences)

    def until_taken(step: Callable[[], None]) -> None:
        while not intake_done.done():
            step()

    def look() -> None:
        totals = spool.totals()
        assert totals.taken >= totals.delivered
        assert spool.usage().events >= 0

    with ThreadPoolExecutor(3) as pool:
        intake_done = pool.submit(intake)
        others = [pool.submit(until_taken, step) for step in (deliver_all, look)]
    for work in (intake_done, *others):
        work.result()
    deliver_all()
    assert sorted(delivered) == list(range(1, 3 * CHUNKS + 1))
    assert spool.totals().delivered == 3 * CHUNKS
    conserved(spool)

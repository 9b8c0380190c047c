"""T2 on the queue: SIGKILL of workers while they put an event there, and at random. The others go on."""

import random
import time
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from lab.processes import eventually, shippers_of
from lab.servers import Server

from campaigns.scene import Finding, Scene, scene
from campaigns.steady import TRANSACTION_HEADER
from moesifasgi.places import SOCKET_NAME
from moesifasgi.shipper.receiver.speakers import GONE_S
from moesifasgi.shipper.tool import ask_status

PER_SECOND = 600.0
WORKERS = 4
COUNT = 100
"""Half of them in the middle of a put."""
LEAST_BY_QUEUE = 0.9
"""A queue that a dead worker had stopped would carry next to nothing after the first death."""
TIMEOUT_S = 10.0
STALL_S = 2.0
"""No answer of a worker that lives takes so long: a queue that does not work is left within this time."""


def run(count: int, rng: random.Random) -> Finding:
    """Kill one worker ``count`` times, every other time in its put, and wait until it has been replaced."""
    died_in_put = 0
    answered: set[str] = set()
    with scene(WORKERS, PER_SECOND, "gunicorn", "dying_application:app", ("--preload",)) as stage:
        stage.shipper()
        for number in range(count):
            time.sleep(rng.uniform(0.05, 0.2))
            before = set(stage.server.worker_pids())
            if number % 2:
                victim = rng.choice(sorted(before))
                next(each for each in stage.server.descendants() if each.pid == victim).kill()
            else:
                answered |= _die_in_a_put(stage.server)
                died_in_put += 1
            _await_replacement(stage.server, before)
        found = stage.finding("T2", "", "")
        return _judged(found, stage, count, died_in_put, answered)


def _judged(found: Finding, stage: Scene, count: int, died_in_put: int, answered: set[str]) -> Finding:
    def known_lost() -> dict[str, Any]:
        status = ask_status(stage.directory / SOCKET_NAME)
        return status if status["peers"]["lost_events"] >= died_in_put else {}

    # Whose worker does not come back is known for lost only after a while.
    status = eventually(known_lost, GONE_S + 10.0, "the shipper counts what the dead took with them")
    by_queue, counted = status["queues"]["events"], status["peers"]["lost_events"]
    lost = found.lost + len(answered - stage.delivered())
    holds = (
        found.lost <= count - died_in_put
        and counted <= count
        and by_queue >= LEAST_BY_QUEUE * status["counters"]["received"]
        and status["counters"]["difference"] == 0
        and len(shippers_of(stage.directory)) == 1
        and stage.load.longest_s <= STALL_S
    )
    return replace(
        found,
        done=f"SIGKILL of a worker on the queue, {count} times, {died_in_put} of them in a put",
        lost=lost,
        remark=(
            f"{counted} counted as lost with their workers, {by_queue} came through the queue, no answer took"
            f" longer than {stage.load.longest_s * 1000:.0f} ms"
        ),
        holds=holds,
    )


def _die_in_a_put(server: Server) -> set[str]:
    """Ids of what was answered; the event of that is cut off."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=TIMEOUT_S)
    with closing(connection), suppress(OSError, HTTPException):
        connection.request("GET", "/die")
        answer = connection.getresponse()
        answer.read()
        return {str(answer.headers[TRANSACTION_HEADER])}
    return set()


def _await_replacement(server: Server, before: set[int]) -> None:
    def replaced() -> bool:
        now = set(server.worker_pids())
        return len(now) == WORKERS and now != before

    eventually(replaced, 20.0, "the server replaces the worker")

"""A program that forks while it captures: ``python forking_program.py TRANSPORT FORKS``.

Its middleware is made and its channel used before the first fork, and threads of its own go on capturing, so
that forks fall into whatever these are doing. It prints one JSON object a process: the ids that it captured
and, for a child, how long its first event took to be acknowledged. A child that hangs is ended by SIGALRM.
"""

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from application import Message, answer

from moesifasgi import MoesifMiddleware, flush, start_shipper, stats

THREADS = 3
PAUSE_S = 0.002
CHILDREN_AT_ONCE = 4
EVENTS_OF_A_CHILD = 3
WATCHDOG_S = 30
RESTLESS_S = 5e-5
"""Threads take turns a hundred times as often as usual, so that a race is met rather than missed."""
HEADER = b"x-moesif-transaction-id"
SCOPE: Message = {
    "type": "http",
    "method": "POST",
    "scheme": "http",
    "path": "/orders",
    "query_string": b"",
    "headers": [(b"host", b"shop.example"), (b"content-type", b"application/json")],
}


def main(transport: str, forks: int) -> None:
    sys.setswitchinterval(RESTLESS_S)
    given: dict[str, Any] = {"TRANSPORT": transport}
    if transport == "queue":
        given["SHIPPER"] = start_shipper()
    middleware = MoesifMiddleware(answer, settings=given)
    captured: list[str] = [call(middleware)]
    stopping = threading.Event()
    threads = [
        threading.Thread(target=capture, args=(middleware, captured, stopping)) for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    failed = fork_often(middleware, forks)
    stopping.set()
    for thread in threads:
        thread.join()
    tell(ids=captured, failed=failed, flushed=flush(WATCHDOG_S))


def capture(middleware: MoesifMiddleware, captured: list[str], stopping: threading.Event) -> None:
    while not stopping.wait(PAUSE_S):
        captured.append(call(middleware))


def fork_often(middleware: MoesifMiddleware, forks: int) -> int:
    """How many children did not end well."""
    failed = living = 0
    for _ in range(forks):
        if living == CHILDREN_AT_ONCE:
            failed += os.wait()[1] != 0
            living -= 1
        served = bool(stats()["connected"])
        if os.fork() == 0:
            signal.alarm(WATCHDOG_S)
            be_a_child(middleware, served)
            os._exit(0)
        living += 1
    return failed + sum(os.wait()[1] != 0 for _ in range(living))


def be_a_child(middleware: MoesifMiddleware, served: bool) -> None:
    """``served``: whether a shipper served the parent when it forked."""
    began = time.monotonic()
    ids = [call(middleware)]
    while not stats()["acked"]:
        time.sleep(0.001)
    first_s = time.monotonic() - began
    ids += [call(middleware) for _ in range(EVENTS_OF_A_CHILD - 1)]
    while stats()["acked"] < EVENTS_OF_A_CHILD:
        time.sleep(0.001)
    tell(ids=ids, first_s=first_s, served=served, on_queue=stats()["on_queue"])


def tell(**found: Any) -> None:
    """In one write: children share the pipe."""
    os.write(sys.stdout.fileno(), json.dumps(found).encode() + b"\n")


def call(middleware: MoesifMiddleware) -> str:
    """One request through the middleware, which waits for nothing; returns its id."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"order": 4711}'}

    async def send(message: Message) -> None:
        messages.append(message)

    exchange = middleware({**SCOPE}, receive, send)
    try:
        exchange.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        headers = dict(messages[0]["headers"])
        return str(headers[HEADER].decode())
    raise RuntimeError("it waited for something")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Cutting workers' connections from outside: another connection of a session fences the one that is there."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lab.far_end import Speaker
from moesifasgi.wire.application import Application

PATIENCE_S = 30.0


def nothing() -> None:
    """What happens before the cut, usually."""


def cut_connections(
    path: Path,
    workers: Iterable[Mapping[str, Any]],
    application: Application,
    before: Callable[[], None] = nothing,
    *,
    until_back: bool = False,
) -> None:
    """Have the shipper at ``path`` drop these of its workers (as its status tells them).

    ``before``: what happens when the intruders are connected, and the workers too. ``until_back``: wait until
    each worker has fenced its intruder.
    """
    sessions = [bytes.fromhex(worker["session"]) for worker in workers]
    with ExitStack() as stack:
        intruders = [stack.enter_context(Speaker(path, PATIENCE_S)) for _ in sessions]
        before()
        for intruder, session in zip(intruders, sessions, strict=True):
            intruder.session = session
            intruder.hello(applications=[application.to_wire()])
        for intruder in intruders if until_back else ():
            assert intruder.is_dropped(), "the worker comes again"

"""``moesif-shipper flush``: wait until what was received so far is delivered."""

import math
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from moesifasgi.shipper.commands.exits import HEALTHY, UNHEALTHY, shipper_answers
from moesifasgi.shipper.commands.options import socket_meant, socket_option
from moesifasgi.shipper.commands.progress import progress


def _a_time(_context: click.Context, _option: click.Parameter, given: float) -> float:
    if math.isnan(given):
        raise click.BadParameter("expected a number of seconds")
    return given


@click.command()
@socket_option
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=30.0,
    show_default=True,
    callback=_a_time,
    help="Longest wait in seconds.",
)
def flush(socket_path: Path | None, timeout_s: float) -> None:
    """Wait until everything received so far is delivered. Exit 0 delivered, 1 not in time, 2 no shipper."""
    from moesifasgi.shipper.tool import ask_flush, ask_status

    socket = socket_meant(socket_path)
    try:
        with shipper_answers():
            before = ask_status(socket)
            with progress(before["spool"]["events"], "events") as done:
                answer = ask_flush(socket, timeout_s, _watching(socket, before, done))
            after = ask_status(socket)
    except TimeoutError:
        click.echo(f"not delivered within {timeout_s:g} s; the rest stays in the spool", err=True)
        sys.exit(UNHEALTHY)
    if answer.delivered and (fates := _other_fates(before, after)):
        click.echo(f"nothing is left in the spool, but not all is delivered: {fates}")
        sys.exit(UNHEALTHY)
    click.echo("delivered" if answer.delivered else f"not delivered: {answer.reason}")
    sys.exit(HEALTHY if answer.delivered else UNHEALTHY)


def _other_fates(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What became of events meanwhile that were not delivered, in words."""
    letters = after["counters"]["dead_lettered"] - before["counters"]["dead_lettered"]
    dropped = sum(after["counters"]["dropped"].values()) - sum(before["counters"]["dropped"].values())
    told = {"became dead letters": letters, "were dropped": dropped}
    return ", ".join(f"{number} {what}" for what, number in told.items() if number > 0)


def _watching(socket: Path, before: dict[str, Any], done: Callable[[int], None]) -> Callable[[], None]:
    """A function that tells ``done`` how many more of what was spooled before have left the spool."""
    from moesifasgi.shipper.tool import NoShipper, ask_status

    left, gone = before["spool"]["events"], _gone(before)

    def watch() -> None:
        nonlocal left, gone
        with suppress(NoShipper):  # The flush itself will say so.
            now = _gone(ask_status(socket))
            step = min(left, max(0, now - gone))
            done(step)
            left, gone = left - step, now

    return watch


def _gone(status: dict[str, Any]) -> int:
    counters = status["counters"]
    return int(counters["delivered"] + counters["dead_lettered"] + sum(counters["dropped"].values()))

"""``moesif-shipper flush``: wait until what was received so far is delivered."""

import sys
from pathlib import Path

import click

from moesifasgi.shipper.commands.exits import HEALTHY, UNHEALTHY, shipper_answers
from moesifasgi.shipper.commands.options import socket_meant, socket_option


@click.command()
@socket_option
@click.option("--timeout", "timeout_s", type=float, default=30.0, show_default=True, help="Seconds.")
def flush(socket_path: Path | None, timeout_s: float) -> None:
    """Wait until everything received so far is delivered. Exit 0 delivered, 1 not in time, 2 no shipper."""
    from moesifasgi.shipper.tool import ask_flush

    try:
        with shipper_answers():
            answer = ask_flush(socket_meant(socket_path), timeout_s)
    except TimeoutError:
        click.echo(f"not delivered within {timeout_s:g} s; the rest stays in the spool", err=True)
        sys.exit(UNHEALTHY)
    click.echo("delivered" if answer.delivered else f"not delivered: {answer.reason}")
    sys.exit(HEALTHY if answer.delivered else UNHEALTHY)

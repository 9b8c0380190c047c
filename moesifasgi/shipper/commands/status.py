"""``moesif-shipper status``: do events arrive?"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from moesifasgi.shipper.commands.exits import HEALTHY, NO_SHIPPER, UNHEALTHY
from moesifasgi.shipper.commands.options import socket_meant, socket_option

WATCH_S = 1.0


@click.command()
@socket_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--watch", is_flag=True, help="Look again every second, until interrupted.")
def status(socket_path: Path | None, as_json: bool, watch: bool) -> None:
    """Tell whether events arrive. Exit 0 healthy, 1 unhealthy (says why), 2 no shipper.

    With --watch the exit code is that of the last look.
    """
    if not watch:
        code, text = _look(socket_path, as_json, indent=2)
        click.echo(text, err=code == NO_SHIPPER)
        sys.exit(code)
    code = NO_SHIPPER
    with suppress(KeyboardInterrupt):
        while True:
            # What is shown last is what the exit code tells, whenever the interruption comes.
            code, text = _look(socket_path, as_json)
            if sys.stdout.isatty() and not as_json:
                click.clear()
            click.echo(text, err=code == NO_SHIPPER)
            time.sleep(WATCH_S)
    sys.exit(code)


def _look(socket_path: Path | None, as_json: bool, indent: int | None = None) -> tuple[int, str]:
    """What is found now: the exit code that says so, and its text."""
    from moesifasgi.shipper.status_words import in_words
    from moesifasgi.shipper.tool import NoShipper, ask_status

    try:
        found = ask_status(socket_meant(socket_path))
    except NoShipper as error:
        return NO_SHIPPER, f"no shipper: {error}"
    text = json.dumps(found, indent=indent) if as_json else in_words(found)
    return (HEALTHY if found["healthy"] else UNHEALTHY), text

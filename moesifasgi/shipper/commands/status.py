"""``moesif-shipper status``: do events arrive?"""

import json
import sys
import time
from pathlib import Path

import click

from moesifasgi.shipper.commands.exits import HEALTHY, UNHEALTHY, shipper_answers
from moesifasgi.shipper.commands.options import socket_meant, socket_option


@click.command()
@socket_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--watch", is_flag=True, help="Print again every second, until interrupted.")
def status(socket_path: Path | None, as_json: bool, watch: bool) -> None:
    """Tell whether events arrive. Exit 0 healthy, 1 unhealthy (says why), 2 no shipper."""
    from moesifasgi.shipper.status_words import in_words
    from moesifasgi.shipper.tool import ask_status

    while True:
        with shipper_answers():
            found = ask_status(socket_meant(socket_path))
        click.echo(json.dumps(found, indent=None if watch else 2) if as_json else in_words(found))
        if not watch:
            sys.exit(HEALTHY if found["healthy"] else UNHEALTHY)
        time.sleep(1)

"""``moesif-shipper check``: would it work here?"""

import os
import sys
from pathlib import Path

import click

from moesifasgi.errors import SettingsError
from moesifasgi.shipper.commands.configured import config_option, configuration_options, given
from moesifasgi.shipper.commands.exits import HEALTHY, UNHEALTHY


@click.command()
@config_option
@click.option("--example", is_flag=True, help="Print a file with every key and what it means, and leave.")
@configuration_options
def check(file: Path | None, example: bool, **options: str | None) -> None:
    """Look at configuration, permissions, spool, socket and the way to Moesif; one line each.

    Changes nothing and sends no event. Run it as the user that the shipper runs as. Exit 0 if a shipper would
    work, 1 if something FAILED; warnings do not count.
    """
    if example:
        from moesifasgi.shipper.configuration.example import example as example_file

        click.echo(example_file(), nl=False)
        return
    sys.exit(UNHEALTHY if _look(file, given(options)) else HEALTHY)


def _look(file: Path | None, options: dict[str, str]) -> bool:
    """Print all findings; whether one of them is a failure."""
    from moesifasgi.shipper.checkup import checkup
    from moesifasgi.shipper.configuration.load import load
    from moesifasgi.shipper.finding import Finding, Verdict

    try:
        loaded = load(file, os.environ, options, to_look=True)
    except SettingsError as error:
        for fault in error.faults:
            click.echo(Finding(Verdict.FAILED, "configuration", fault))
        return True
    failed = False
    for finding in checkup(loaded):
        click.echo(finding)
        failed |= finding.verdict is Verdict.FAILED
    return failed

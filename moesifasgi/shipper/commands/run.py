"""``moesif-shipper run``: a standalone shipper in the foreground."""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from moesifasgi.errors import SettingsError
from moesifasgi.shipper.commands.configured import config_option, configuration_options, given
from moesifasgi.shipper.configuration.load import Loaded, load

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
JOURNAL_FORMAT = "%(name)s: %(message)s"


@click.command()
@config_option
@click.option(
    "--take-over",
    is_flag=True,
    help="Have the shipper that runs now leave, and go on with its socket and spool: an upgrade.",
)
@configuration_options
def run(file: Path | None, take_over: bool, **options: str | None) -> None:
    """Run a standalone shipper in the foreground.

    Everything can be set in three ways: as a key of the TOML file, as MOESIF_SHIPPER_<KEY> in the
    environment, and by an option; the last wins. Proxies have no option: they may hold a password, and
    anyone can read those. "moesif-shipper check --example" prints a file with all keys.

    \b
    SIGHUP   reads the configuration again; a bad one is told and changes nothing
    SIGTERM  delivers what it can within drain_timeout and leaves; a second one leaves at once
    """
    from moesifasgi.shipper.options import Options
    from moesifasgi.shipper.reloads import Reloads
    from moesifasgi.shipper.serving import serve

    load_again = partial(load, file, os.environ, given(options))
    found = loaded(load_again)
    _log(found.configuration.log_level.upper())
    serve(Options.of(found.configuration), Reloads(found, load_again), take_over=take_over)


def _log(level: str) -> None:
    """To standard error; to journald in a form that it understands."""
    from moesifasgi.shipper.systemd import JournalFormatter, is_journal

    handler = logging.StreamHandler()
    journal = is_journal(os.environ, sys.stderr)
    handler.setFormatter(JournalFormatter(JOURNAL_FORMAT) if journal else logging.Formatter(LOG_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


def loaded(load: Callable[[], Loaded]) -> Loaded:
    """The configuration; ClickException with every fault."""
    try:
        return load()
    except SettingsError as error:
        raise click.ClickException("\n  - ".join(("wrong configuration:", *error.faults))) from error

"""``moesif-shipper run``: a standalone shipper in the foreground."""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from moesifasgi.errors import SettingsError
from moesifasgi.shipper.commands.options import PATH
from moesifasgi.shipper.configuration.key import keys_of
from moesifasgi.shipper.configuration.load import Loaded, load
from moesifasgi.shipper.configuration.values import Configuration

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
config_option = click.option(
    "--config",
    "file",
    type=PATH,
    help="TOML file. Default: $MOESIF_SHIPPER_CONFIG, or /etc/moesif/shipper.toml if it is there.",
)


def configuration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each key but the secret ones, which any user could read in the list of processes."""
    for key in reversed([key for _, key in keys_of(Configuration) if not key.secret]):
        command = click.option(key.option, key.name, metavar="VALUE", help=key.meaning)(command)
    return command


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
    from moesifasgi.shipper.daemon import Options
    from moesifasgi.shipper.reloads import Reloads
    from moesifasgi.shipper.serving import serve

    load_again = partial(load, file, os.environ, _given(options))
    found = loaded(load_again)
    logging.basicConfig(level=found.configuration.log_level.upper(), format=LOG_FORMAT)
    serve(Options.of(found.configuration), Reloads(found, load_again), take_over=take_over)


def _given(options: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}


def loaded(load: Callable[[], Loaded]) -> Loaded:
    """The configuration; ClickException with every fault."""
    try:
        return load()
    except SettingsError as error:
        raise click.ClickException("\n  - ".join(("wrong configuration:", *error.faults))) from error

"""``moesif-shipper run``: a standalone shipper in the foreground."""

import logging
import os
from collections.abc import Callable
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
@configuration_options
def run(file: Path | None, **options: str | None) -> None:
    """Run a standalone shipper in the foreground."""
    from moesifasgi.shipper.daemon import Options
    from moesifasgi.shipper.serving import serve

    found = loaded(file, options)
    configuration = found.configuration
    logging.basicConfig(level=configuration.log_level.upper(), format=LOG_FORMAT)
    serve(Options.of(configuration))


def loaded(file: Path | None, options: dict[str, str | None]) -> Loaded:
    """The configuration; ClickException with every fault."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return load(file, os.environ, given)
    except SettingsError as error:
        raise click.ClickException("\n  - ".join(("wrong configuration:", *error.faults))) from error

"""The options of commands that read the configuration: one for each key."""

from collections.abc import Callable
from typing import Any

import click

from moesifasgi.shipper.commands.options import PATH
from moesifasgi.shipper.configuration.key import keys_of
from moesifasgi.shipper.configuration.values import Configuration

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


def given(options: dict[str, str | None]) -> dict[str, str]:
    """Those that were given, by the names of their keys."""
    return {name: value for name, value in options.items() if value is not None}

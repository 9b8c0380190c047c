"""The command ``moesif-shipper``: its commands are in ``commands``, one file each."""

import click

from moesifasgi.shipper.commands.dead_letters import dead_letters
from moesifasgi.shipper.commands.embedded import embedded
from moesifasgi.shipper.commands.flush import flush
from moesifasgi.shipper.commands.fsck import fsck
from moesifasgi.shipper.commands.inspect import inspect
from moesifasgi.shipper.commands.run import run
from moesifasgi.shipper.commands.status import status
from moesifasgi.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, package_name="moesifasgi", message="%(prog)s %(version)s")
def main() -> None:
    """Ships API events from ASGI workers to Moesif."""


for command in (run, status, flush, dead_letters, fsck, inspect, embedded):
    main.add_command(command)

"""The command ``moesif-shipper``: its commands are in ``commands``, one file each."""

from typing import Any

import click

from moesifasgi.shipper.commands.check import check
from moesifasgi.shipper.commands.completion import completion
from moesifasgi.shipper.commands.dead_letters import dead_letters
from moesifasgi.shipper.commands.embedded import embedded
from moesifasgi.shipper.commands.flush import flush
from moesifasgi.shipper.commands.fsck import fsck
from moesifasgi.shipper.commands.inspect import inspect
from moesifasgi.shipper.commands.run import run
from moesifasgi.shipper.commands.status import status
from moesifasgi.version import VERSION


class InOrder(click.Group):
    """Lists its commands as they were added: in the order in which a newcomer needs them."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except PermissionError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, package_name="moesifasgi", message="%(prog)s %(version)s")
def main() -> None:
    """Ships API events from ASGI workers to Moesif.

    Workers start a shipper of their own if none runs, so most people only ever need "status". To run one for
    all workers of a host:

    \b
    moesif-shipper check            would it work here?
    moesif-shipper run              it serves /run/moesif/shipper.sock, and spools in /var/lib/moesif
    moesif-shipper status           do events arrive?
    """


for command in (run, check, status, flush, dead_letters, fsck, inspect, completion, embedded):
    main.add_command(command)

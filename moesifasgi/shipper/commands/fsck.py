"""``moesif-shipper fsck``: is anything in a spool damaged, and what of it can be saved?"""

import sys
from pathlib import Path

import click

from moesifasgi.shipper.commands.exits import NO_SHIPPER, UNHEALTHY
from moesifasgi.shipper.commands.options import PATH
from moesifasgi.shipper.commands.progress import progress
from moesifasgi.shipper.configuration.values import DEFAULT_SPOOL_DIR


@click.command()
@click.option(
    "--spool-dir",
    type=PATH,
    envvar="MOESIF_SHIPPER_SPOOL_DIR",
    default=DEFAULT_SPOOL_DIR,
    show_default=True,
    help="The spool's directory.",
)
@click.option("--repair", is_flag=True, help="Move what can be saved into a new file; no shipper may run.")
def fsck(spool_dir: Path, repair: bool) -> None:
    """Examine a spool. Exit 0 sound or repaired, 1 damaged, 2 there is none, or it cannot be used now."""
    from moesifasgi.shipper.spool import SpoolError
    from moesifasgi.shipper.spool import fsck as spool_fsck

    try:
        with progress(spool_fsck.rows_of(spool_dir), "rows") as done:
            found = spool_fsck.examine(spool_dir, done)
        for line in (*found.notes, *(f"DAMAGED: {fault}" for fault in found.faults)):
            click.echo(line)
        click.echo(
            f"{found.events} events in {found.rows} rows ({found.bytes} bytes),"
            f" {found.dead_letters} dead letters"
        )
        if not found.faults:
            return
        if not repair:
            click.echo("--repair moves what can be saved into a new file")
            sys.exit(UNHEALTHY)
        damaged, saved = spool_fsck.repair(spool_dir)
        click.echo(f"repaired: {saved} events saved; the damaged file is {damaged}")
    except SpoolError as error:
        click.echo(f"{error}", err=True)
        sys.exit(NO_SHIPPER)

"""``moesif-shipper embedded``: a worker's own shipper. Workers start it, people do not."""

import logging
import logging.handlers
from pathlib import Path
from typing import Any

import click

from moesifasgi.places import LOG_NAME, SOCKET_NAME
from moesifasgi.shipper.commands.options import PATH
from moesifasgi.shipper.liveness import STANDSTILL_S

LOG_BYTES = 1_000_000


@click.command(hidden=True)
@click.option("--dir", "directory", type=PATH, required=True)
@click.option("--linger", "linger_s", type=float, required=True)
@click.option("--durability", type=click.Choice(["normal", "full"]), required=True)
@click.option("--spool-max-bytes", type=int, required=True)
@click.option("--spool-min-free-bytes", type=int, required=True)
@click.option(
    "--standstill-timeout",
    "standstill_s",
    type=float,
    default=STANDSTILL_S,
    envvar="MOESIF_SHIPPER_STANDSTILL_TIMEOUT",
)
@click.option("--debug", is_flag=True)
@click.option("--supersede", is_flag=True)
def embedded(
    directory: Path,
    debug: bool,
    supersede: bool,
    spool_max_bytes: int,
    spool_min_free_bytes: int,
    **options: Any,
) -> None:
    """Run as a worker's own shipper; workers start this, people do not."""
    from moesifasgi.shipper.options import Options
    from moesifasgi.shipper.serving import OWNER_WAIT_S, serve
    from moesifasgi.shipper.spool import Limits
    from moesifasgi.shipper.terms import Terms
    from moesifasgi.shipper.tool import ask_to_give_way

    handler = logging.handlers.RotatingFileHandler(directory / LOG_NAME, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger("moesifasgi")
    package.addHandler(handler)
    package.setLevel(logging.DEBUG if debug else logging.INFO)
    terms = Terms(limits=Limits(spool_max_bytes, spool_min_free_bytes))
    socket = directory / SOCKET_NAME
    if supersede:
        ask_to_give_way(socket, OWNER_WAIT_S)
    serve(Options(directory=directory, socket=socket, embedded=True, terms=terms, **options))

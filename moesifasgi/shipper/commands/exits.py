"""Exit codes, and the ends that several commands share."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

HEALTHY, UNHEALTHY, NO_SHIPPER = 0, 1, 2
"""All is well; it is not, and the output says why; nobody is there to ask."""


@contextmanager
def shipper_answers(hint: str = "") -> Iterator[None]:
    """Exit with NO_SHIPPER and one line where nobody answers; the hint says what else could be done."""
    from moesifasgi.shipper.tool import NoShipper

    try:
        yield
    except NoShipper as error:
        click.echo(f"no shipper: {error}{hint and f'; {hint}'}", err=True)
        sys.exit(NO_SHIPPER)

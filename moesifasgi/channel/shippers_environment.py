"""What a shipper that a worker starts is to find in its environment."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from moesifasgi.channel.bootstrap import WORKERS_PATH

_NOT_FOR_THE_SHIPPER = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "PYTHONPATH",
)
_SECRET = "MOESIF_APPLICATION_ID"


def shippers_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment without what is meant for the server's own process, and without the secret.

    Where the worker looks for modules, by PYTHONPATH too, the shipper looks last: see ``bootstrap``. It has
    another working directory, so what is relative to the worker's is made absolute; where that has been
    deleted, nothing is found there.
    """
    kept = {name: value for name, value in environ.items() if name not in (*_NOT_FOR_THE_SHIPPER, _SECRET)}
    kept[WORKERS_PATH] = os.pathsep.join(_absolute(sys.path))
    return kept


def _absolute(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        with suppress(FileNotFoundError):
            yield str(Path(path).absolute())

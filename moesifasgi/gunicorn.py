"""Hooks for gunicorn: the master starts the shipper, and its workers inherit the queue (TRANSPORT ``queue``).

    gunicorn -c python:moesifasgi.gunicorn -k uvicorn_worker.UvicornWorker app:app

Or, in a configuration file of one's own: ``from moesifasgi.gunicorn import on_starting, pre_fork``. The
shipper's settings are taken from the environment (``MOESIF_SPOOL_DIR`` and so on); who has them in code calls
``moesifasgi.start_shipper(settings)`` in ``on_starting`` instead.

With ``--preload`` the application is built before ``on_starting``: a middleware that is built then starts the
shipper, and the hook finds it.
"""

import os
from typing import Any

from moesifasgi.channel.started import expect, inherited
from moesifasgi.errors import SettingsError

expect()


def on_starting(server: Any) -> None:
    """In the master, before the first worker."""
    if server.cfg.uid != os.geteuid():
        raise SettingsError(
            [
                f"TRANSPORT: for 'queue' expected a master that runs as its workers' user ({server.cfg.uid}),"
                f" got {os.geteuid()}, whose shipper would be closed to them; start gunicorn as that user, or"
                " use 'auto'"
            ]
        )
    inherited()


def pre_fork(_server: Any, _worker: Any) -> None:
    """In the master, before each worker: where the shipper has died, the new one gets a queue too."""
    if (handle := inherited()) is not None:
        handle.mend()

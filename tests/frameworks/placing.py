"""How an application of these tests is served: bare, or with the middleware in the place that ``PLACE`` says.

The place is ``bare``, ``wrap`` (around the whole application) or ``add`` (by ``add_middleware``).
"""

import os
from pathlib import Path
from typing import Any

from moesifasgi import MoesifMiddleware

PLACE = os.environ.get("PLACE", "bare")
SETTINGS = {"DISABLED_TRANSACTION_ID": True}
"""With it a response must not differ in one byte. The rest comes from the environment."""
FILE = Path(__file__).parent / "download.txt"
STREAM = (b"one\n", b"two\n", b"three\n")
PAGE = "<!doctype html><title>A page</title><p>caf\u00e9</p>"


def placed(app: Any) -> Any:
    """The application as it is served where nothing but wrapping is possible."""
    return MoesifMiddleware(app, settings=SETTINGS) if PLACE == "wrap" else app


def added(app: Any) -> Any:
    """The application of a framework that has ``add_middleware``, in any of the places."""
    if PLACE == "add":
        app.add_middleware(MoesifMiddleware, settings=SETTINGS)
    return placed(app)

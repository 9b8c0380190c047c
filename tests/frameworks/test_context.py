"""A18: context variables, tasks, time limits and work after the response are the application's own."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from lab.processes import eventually
from lab.servers import ServerName, running

HERE = Path(__file__).parent
WORKED = {"inside, seen by who calls": "by the application", "after the response": "ran, by who calls"}


@pytest.mark.parametrize(
    ("server", "extra", "library"),
    [
        ("uvicorn", ("--loop", "asyncio"), "asyncio"),
        ("uvicorn", ("--loop", "uvloop"), "asyncio"),
        ("gunicorn-asgi", (), "asyncio"),
        ("hypercorn", ("--worker-class", "trio"), "trio"),
        ("granian", (), "asyncio"),
        ("daphne", (), "asyncio"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "as it is",
)
def test_the_applications_context_is_unharmed(server: ServerName, extra: tuple[str, ...], library: str):
    """BaseHTTPMiddleware runs the application in a task, and a context, of its own."""
    environment = {"MOESIF_APPLICATION_ID": "app-of-the-tests", "MOESIF_TRANSPORT": "memory"}
    with running(server, "context_app:app", workers=1, cwd=HERE, env=environment, extra=extra) as started:

        def asked(path: str) -> Any:
            with urllib.request.urlopen(f"{started.url}{path}") as answer:
                return json.load(answer)

        assert asked("/") == {
            "library": library,
            "outside": "by who calls",
            "child": ["by who calls"],
            "limit held": True,
        }
        eventually(lambda: asked("/noted") == WORKED, 5.0, "what comes after the response has run")
        started.terminate()

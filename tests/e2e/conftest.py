"""The example application on a real server, with a state directory of its own and the test's collector."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from lab.servers import Server, ServerName, running

from moesifasgi.inspector import Collector

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi"
APPLICATION_ID = "end-to-end-application-id-as-long-as-a-real-one-0123456789abcdef"

Serve = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def settings(short_dir: Path, collector: Collector) -> dict[str, str]:
    """The environment of a server whose embedded shipper spools in ``short_dir``."""
    return {
        "MOESIF_APPLICATION_ID": APPLICATION_ID,
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_SPOOL_DIR": str(short_dir),
        "MOESIF_SHIPPER_SOCKET": str(short_dir / "no-standalone-shipper.sock"),
    }


@pytest.fixture
def serve(settings: dict[str, str]) -> Serve:
    """``serve(server="uvicorn", workers=4, **environment)``: a context with the running server."""

    def start(
        server: ServerName = "uvicorn", workers: int = 4, extra: tuple[str, ...] = (), **environment: str
    ) -> AbstractContextManager[Server]:
        return running(server, workers=workers, cwd=EXAMPLE, env=settings | environment, extra=extra)

    return start

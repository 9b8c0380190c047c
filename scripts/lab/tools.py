"""Programs that some tests need and a machine may lack: CI has them all."""

import os
import shutil

import pytest


def needed(*names: str) -> None:
    """Skip the test with the reason where one of these programs is missing; fail it where CI is set."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        unavailable(f"not installed: {', '.join(missing)}")


def unavailable(reason: str) -> None:
    """The test cannot run here: skipped, but in CI, which has to be able to."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)

"""What a test needs of its machine: a skip with the reason where a person runs it, a failure in CI."""

import os

import pytest


def require(missing: str | None) -> None:
    """``missing``: why the test cannot run here; None if it can."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI has to have it: {missing}")
    pytest.skip(missing)

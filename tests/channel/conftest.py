"""What tests of the worker's end share."""

from pathlib import Path

import pytest


@pytest.fixture
def state(short_dir: Path) -> Path:
    """A directory as workers have for what they leave behind, and for their shipper."""
    made = short_dir / "state"
    made.mkdir(mode=0o700)
    return made

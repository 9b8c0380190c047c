"""A directory that all tests of a file share, with a path short enough for a socket in it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def module_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory:
        yield Path(directory)

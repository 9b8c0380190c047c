"""A worker in this process, whose every event must have a fate at the end of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.one_worker import OneWorker


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[OneWorker]:
    made = OneWorker(tmp_path)
    yield made
    assert made.difference == 0

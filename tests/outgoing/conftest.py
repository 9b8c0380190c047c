"""An API to call, and workers that record the calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.upstream import Upstream, upstream
from outgoing_calls.scene import Scene
from outgoing_calls.scene import scene as opened


@pytest.fixture(scope="session")
def api() -> Iterator[Upstream]:
    with upstream() as started:
        yield started


@pytest.fixture
def scene(api: Upstream, tmp_path: Path) -> Iterator[Scene]:
    with opened(api, tmp_path) as made:
        yield made

"""Makes this directory's modules importable by its tests, and gives each test a laboratory."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moesifasgi.inspector import Collector

if TYPE_CHECKING:
    from exchanges import Laboratory

pytest.register_assert_rewrite("exchanges")
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def laboratory(short_dir: Path, collector: Collector) -> "Laboratory":
    from exchanges import Laboratory

    return Laboratory(short_dir, collector)
